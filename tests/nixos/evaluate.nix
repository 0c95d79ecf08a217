# Evaluates settings that have to be refused: which of a file's own differ from what they promise.
# EVERY of a file: { settings; messages; } — settings beside a host that is fine, and the assertions that have to fail.
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
  failed = builtins.mapAttrs (_: given: (evaluate given).failed) cases;
in
if only != null then
  builtins.deepSeq (evaluate cases.${only}).files "evaluates"
else
  failed
