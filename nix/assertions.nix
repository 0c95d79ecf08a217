# What is refused when the configuration is evaluated: settings that would break the Swarm, lose data that is kept warm, or
# show a secret. Each message tells a way out. The program's own check, which runs when the system is built, knows more.
{ config, lib, ... }:
let
  cfg = config.services.evenkeel;
  settings = cfg.finalSettings;
  appsOf =
    kind:
    let
      table = settings.${kind.key} or { };
    in
    if kind ? name then
      lib.optional (settings ? ${kind.key}) {
        inherit (kind) key name;
        option = "services.evenkeel.${kind.option}";
        inherit table;
      }
    else
      lib.mapAttrsToList (name: table: {
        key = "${kind.key}.${name}";
        option = "services.evenkeel.${kind.option}.${name}";
        inherit name table;
      }) table;
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
    apps = lib.concatMap appsOf (import ./kinds.nix);
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
