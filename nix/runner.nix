# The runner: what runs the builds of the build server, on this host. It takes what it has to know, its secret too, from a
# file that the program writes and nobody else reads.
#
# A build is a program of whoever may push to a repository, and runs as the runner's user in the runner's sandbox: what a
# build may do is what this unit may do. So it is a user of its own that owns nothing, and systemd hands it the one file.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  unit = import ./unit.nix { inherit config lib pkgs; };
  runner = import ./runners.nix { inherit config lib pkgs; };

  file = "${cfg.stateDir}/drone/runner.env";
  escaped = lib.replaceStrings [ "%" ] [ "%%" ] file;
  name = "evenkeel-runner";

  # As far as builds allow. Left out of what the other units have: compilers that write the code that they run
  # (MemoryDenyWriteExecute), and tools that look how many processors and how much memory there is (ProcSubset). A tool that asks
  # for what is not allowed is told so, and not killed. The network is open, as builds fetch what they need.
  sandbox =
    removeAttrs unit.sandbox [
      "MemoryDenyWriteExecute"
      "ProcSubset"
    ]
    // {
      CapabilityBoundingSet = "";
      RestrictAddressFamilies = unit.sandbox.RestrictAddressFamilies ++ [ "AF_NETLINK" ];
      RestrictSUIDSGID = true;
      SystemCallErrorNumber = "EPERM";
      # Only root may read them anyway.
      InaccessiblePaths = [
        "-${cfg.stateDir}"
        "-/run/secrets"
        "-/run/secrets.d"
      ];
    };

  # systemd hides what other units were given: `given` is where this one sees it.
  given = "/tmp/given";
  changed = pkgs.writeShellScript "${name}-changed" ''
    set -eu
    # Taken away by a person: there is nothing newer to take.
    [ -e ${lib.escapeShellArg file} ] || exit 0
    ! cmp --silent ${lib.escapeShellArg file} ${given}/runner.env || exit 0
    # One that gave up may try again, and an order that waits for the server is not waited for.
    systemctl reset-failed ${name}.service
    systemctl --no-block restart ${name}.service
  '';
in
{
  config = lib.mkIf (cfg.enable && runner.isEnabled) {
    systemd.services = {
      ${name} = {
        description = "Run builds for the build server";
        documentation = [ "man:evenkeel(1)" ];
        wantedBy = [ "multi-user.target" ];
        # The server is not wanted, though waited for: what is wanted is started with each of its restarts, also in the middle
        # of an upgrade that took the server away.
        wants = [
          "network-online.target"
          "evenkeel-proxy.service"
        ];
        after = [
          "network-online.target"
          "evenkeel-proxy.service"
          "evenkeel-drone.service"
        ];
        onFailure = [ "evenkeel-failed@%N.service" ];
        # A server that is away for a while is no failure: half an hour of starts that fail is, and more where each try of the
        # agent lasts a minute before it ends.
        startLimitIntervalSec = 7200;
        startLimitBurst = 60;
        # A switch with another program ends no build: that is taken at the next start. One with another runner.env does.
        restartIfChanged = false;
        unitConfig = {
          # Written once the server is up.
          ConditionPathExists = escaped;
          RequiresMountsFor = [ cfg.stateDir ];
        };
        path = runner.packages;
        environment =
          config.networking.proxy.envVars
          // {
            HOME = "/var/lib/${name}";
          }
          // runner.environment;
        serviceConfig = sandbox // {
          Type = "exec";
          ExecStart = runner.command;
          # Woodpecker's agent ends well when it has lost its server.
          Restart = "always";
          RestartSec = "30s";
          # Only the end of all tries is a failure that is told.
          RestartMode = "direct";
          DynamicUser = true;
          User = name;
          LoadCredential = "runner.env:${escaped}";
          StateDirectory = name;
          StateDirectoryMode = "0700";
          RuntimeDirectory = name;
          RuntimeDirectoryMode = "0700";
          # The runner is told first, and tells the server which builds end.
          KillMode = "mixed";
          TimeoutStopSec = "1min";
          # A build that takes too much memory ends alone, and before anything that people use.
          OOMPolicy = "continue";
          OOMScoreAdjust = 500;
          CPUWeight = 20;
          IOWeight = 20;
          LimitCORE = 0;
        };
      };

      # After a good night the server is up, and a runner that had given up may try. A switch starts it by its target.
      evenkeel-drone-upgrade.onSuccess = [ "${name}.service" ];

      "${name}-changed" = {
        description = "Restart the runner for what it has to know now";
        documentation = [ "man:evenkeel(1)" ];
        onFailure = [ "evenkeel-failed@%N.service" ];
        startLimitIntervalSec = 0;
        path = [ pkgs.diffutils ];
        unitConfig.RequiresMountsFor = [ cfg.stateDir ];
        serviceConfig = unit.sandbox // {
          Type = "oneshot";
          ExecStart = changed;
          BindReadOnlyPaths = "-/run/credentials/${name}.service:${given}";
          TimeoutStartSec = "1d";
        };
      };
    };

    # The program writes the file only when its bytes differ, and all of it at once.
    systemd.paths."${name}-changed" = {
      description = "Look for what the runner has to know";
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = escaped;
    };
  };
}
