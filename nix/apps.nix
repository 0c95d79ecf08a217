# The tables of all apps: { key = as the program calls it; option = as the option is called; name; table; kind; }.
{ lib, settings }:
let
  appsOf =
    kind:
    let
      table = settings.${kind.key} or { };
    in
    if kind ? name then
      lib.optional (settings ? ${kind.key}) {
        inherit kind;
        inherit (kind) key name;
        option = "services.evenkeel.${kind.option}";
        inherit table;
      }
    else
      lib.mapAttrsToList (name: table: {
        key = "${kind.key}.${name}";
        option = "services.evenkeel.${kind.option}.${name}";
        inherit kind name table;
      }) table;
in
lib.concatMap appsOf (import ./kinds.nix)
