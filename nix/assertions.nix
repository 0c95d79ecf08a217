# What is refused when the configuration is evaluated: settings that would break the Swarm, lose data that is kept warm, or
# show a secret. Each message tells a way out. The program's own check, which runs when the system is built, knows more.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  settings = cfg.finalSettings;
  arguments = {
    inherit
      cfg
      config
      lib
      pkgs
      settings
      ;
    refuse = condition: message: {
      assertion = !condition;
      message = lib.trim (lib.replaceStrings [ "\n" ] [ " " ] message);
    };
    apps = import ./apps.nix { inherit lib settings; };
  };
in
{
  config = lib.mkIf cfg.enable {
    assertions = lib.concatMap (file: import file arguments) [
      ./refusals/docker.nix
      ./refusals/host.nix
      ./refusals/files.nix
      ./refusals/apps.nix
      ./refusals/drone.nix
    ];
    warnings = lib.optional (
      arguments.apps == [ ]
    ) "services.evenkeel keeps nothing yet: declare a proxy or an app.";
  };
}
