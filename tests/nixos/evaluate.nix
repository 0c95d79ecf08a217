# Evaluates settings that have to be refused, each beside a host that is fine.
# FILE is a set of NAME = { settings, … }. Without `only`: the failed assertions of each; with it: one whole host.
{
  file,
  only ? null,
  nixpkgs ? null,
}:
let
  fine =
    { lib, ... }:
    {
      services.evenkeel.enable = true;
      services.evenkeel.baseDomain = lib.mkDefault "ci.example.org";
    };
  evaluate =
    given:
    import ./stand-in/render.nix {
      module.imports = [
        ../../nix/module.nix
        fine
      ];
      inherit (given) settings;
      packages.evenkeel = "/opt/evenkeel";
      inherit nixpkgs;
    };
  cases = import file;
in
if only != null then
  builtins.deepSeq (evaluate cases.${only}) "evaluates"
else
  builtins.mapAttrs (_: given: (evaluate given).failed) cases
