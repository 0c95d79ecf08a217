# What `nix flake check` builds: program, lints, formatting, hosts, the page of the options, and every test of nix/tests.
{
  host,
  pkgs,
  self,
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  evenkeel = self.packages.${system}.default;

  source = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../.rustfmt.toml
      ../Cargo.lock
      ../Cargo.toml
      ../README.md
      ../flake.nix
      ../nix
      ../src
      ../tests
    ];
  };

  # The names of a folder's Nix files; folders in it hold what they share.
  namesIn =
    folder:
    let
      isOne = name: kind: kind == "regular" && lib.hasSuffix ".nix" name;
    in
    map (lib.removeSuffix ".nix") (lib.attrNames (lib.filterAttrs isOne (builtins.readDir folder)));

  prefixed =
    prefix: names: make:
    lib.listToAttrs (map (name: lib.nameValuePair "${prefix}-${name}" (make name)) names);

  hosts = prefixed "host" (namesIn ./hosts) (name: (host name system).config.system.build.toplevel);

  # What the tests' machines have in common.
  machine = import ./tests/shared/host.nix {
    inherit evenkeel lib pkgs;
    module = self.nixosModules.default;
  };
  tests = prefixed "test" (namesIn ./tests) (
    name:
    pkgs.testers.runNixOSTest (
      import (./tests + "/${name}.nix") {
        inherit lib pkgs;
        host = machine;
      }
    )
  );
in
{
  # Not built by `nix flake check` otherwise.
  package = evenkeel;

  clippy = evenkeel.overrideAttrs (package: {
    pname = "evenkeel-clippy";
    src = source;
    nativeBuildInputs = package.nativeBuildInputs ++ [ pkgs.clippy ];
    buildPhase = "cargo clippy --all-targets --offline -- -D warnings";
    doCheck = false;
    installPhase = "touch $out";
    postFixup = "";
  });

  formatting = pkgs.runCommand "evenkeel-formatting" { } ''
    cd ${source}
    ${lib.getExe (pkgs.callPackage ./formatter.nix { })} --check
    touch $out
  '';

  options-page = pkgs.runCommand "evenkeel-options-page" { } ''
    diff -u ${./options.md} ${
      pkgs.writeText "options.md" (import ./options-doc.nix { inherit lib pkgs; })
    }
    touch $out
  '';
}
// hosts
// tests
