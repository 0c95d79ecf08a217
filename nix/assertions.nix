# What is refused when the configuration is evaluated: settings that would break the Swarm, lose data that is kept warm, or
# show a secret. Each message tells a way out. The program's own check, which runs when the system is built, knows more.
{ config, lib, ... }:
let
  cfg = config.services.evenkeel;
  settings = cfg.finalSettings;
  arguments = {
    inherit
      cfg
      config
      lib
      settings
      ;
    refuse = condition: message: {
      assertion = !condition;
      message = lib.trim (lib.replaceStrings [ "\n" ] [ " " ] message);
    };
    # Tables of apps: { key = as the program calls it; option = as the option is called; name; table; }.
    apps =
      lib.optional (settings ? proxy) {
        key = "proxy";
        option = "services.evenkeel.proxy";
        name = "traefik";
        table = settings.proxy;
      }
      ++ lib.optional (settings ? warm_keycloak) {
        key = "warm_keycloak";
        option = "services.evenkeel.warmKeycloak";
        name = "warm-keycloak";
        table = settings.warm_keycloak;
      }
      ++ lib.mapAttrsToList (name: table: {
        key = "app.${name}";
        option = "services.evenkeel.apps.${name}";
        inherit name table;
      }) (settings.app or { });
  };
in
{
  config = lib.mkIf cfg.enable {
    assertions = lib.concatMap (file: import file arguments) [
      ./refusals/docker.nix
      ./refusals/host.nix
      ./refusals/files.nix
      ./refusals/apps.nix
    ];
    warnings = lib.optional (
      arguments.apps == [ ]
    ) "services.evenkeel keeps nothing yet: declare a proxy or an app.";
  };
}
