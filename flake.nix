{
  description = "Keeps the apps of a NixOS Docker Swarm host as declared";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = eachSystem (pkgs: rec {
        evenkeel = pkgs.callPackage ./nix/package.nix { };
        default = evenkeel;
      });
      devShells = eachSystem (pkgs: {
        default = pkgs.callPackage ./nix/devshell.nix { };
      });
      formatter = eachSystem (pkgs: pkgs.nixfmt);
    };
}
