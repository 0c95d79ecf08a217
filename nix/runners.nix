# The two programs that can be the runner, and what each needs: THE table of their differences.
#
# Nothing of a program is evaluated before its runner is enabled: Drone's is not free, and a host that does not use it does not
# have to allow it.
{
  config,
  lib,
  pkgs,
}:
let
  cfg = config.services.evenkeel;
  drone = if cfg.drone == null then { runner.enable = false; } else cfg.drone;
  engine = cfg.finalSettings.drone.engine or "drone";

  # Its steps get all of its environment, so the secret must not be in it: the agent reads it from a file. `.env` is read
  # from where it is started, which no build can write to.
  woodpecker = pkgs.writeShellScript "evenkeel-woodpecker-agent" ''
    set -eu
    while IFS= read -r line; do
      name=''${line%%=*} value=''${line#*=}
      case $value in \'*\') value=''${value#?} value=''${value%?} ;; esac
      case $name in
        WOODPECKER_AGENT_SECRET) printf %s "$value" >"$WOODPECKER_AGENT_SECRET_FILE" ;;
        WOODPECKER_*) export "$name=$value" ;;
      esac
    done <"$CREDENTIALS_DIRECTORY/runner.env"
    exec ${drone.runner.package}/bin/woodpecker-agent
  '';

  engines = {
    drone = {
      attribute = "drone-runner-exec";
      # It reads the file itself, into what nobody sees of it from outside; its builds get only PATH of its environment.
      command = "${drone.runner.package}/bin/drone-runner-exec daemon %d/runner.env";
      environment = {
        # It insists on a port; nobody asks it anything.
        DRONE_HTTP_BIND = "127.0.0.1:0";
        # Of its own, on the disk, and emptied with each start.
        DRONE_RUNNER_ROOT = "/var/tmp";
      };
      tools = [ ];
    };
    woodpecker = {
      attribute = "woodpecker-agent";
      command = woodpecker;
      environment = {
        WOODPECKER_AGENT_CONFIG_FILE = "/var/lib/evenkeel-runner/agent.json";
        WOODPECKER_AGENT_SECRET_FILE = "/run/evenkeel-runner/secret";
        WOODPECKER_BACKEND_LOCAL_TEMP_DIR = "/var/tmp";
        WOODPECKER_HEALTHCHECK = "false";
      };
      # What clones. Without it, each build fetches one from the web.
      tools = lib.optional (pkgs ? woodpecker-plugin-git) pkgs.woodpecker-plugin-git;
    };
  };
  of = engines.${engine} or engines.drone;
in
{
  isEnabled = drone.runner.enable;
  inherit (of) attribute command environment;
  default = pkgs.${of.attribute} or null;
  packages = drone.runner.packages ++ of.tools;
}
