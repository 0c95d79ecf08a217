{
  description = "Keeps the apps of a NixOS Docker Swarm host as declared";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    sops-nix.url = "github:Mic92/sops-nix";
    sops-nix.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      self,
      nixpkgs,
      sops-nix,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});

      # A host of nix/hosts on a system. sops-nix is there for those that use it.
      host =
        name: system:
        lib.nixosSystem {
          modules = [
            self.nixosModules.default
            sops-nix.nixosModules.sops
            (./nix/hosts + "/${name}.nix")
            { nixpkgs.hostPlatform = system; }
          ];
        };
    in
    {
      packages = eachSystem (pkgs: rec {
        evenkeel = pkgs.callPackage ./nix/package.nix { };
        default = evenkeel;
      });

      overlays.default = final: _prev: {
        evenkeel = final.callPackage ./nix/package.nix { };
      };

      nixosModules.evenkeel =
        { lib, pkgs, ... }:
        {
          imports = [ ./nix/module.nix ];
          services.evenkeel.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };
      nixosModules.default = self.nixosModules.evenkeel;

      nixosConfigurations.example = host "example" "x86_64-linux";

      checks = eachSystem (pkgs: import ./nix/checks.nix { inherit host pkgs self; });

      apps = eachSystem (pkgs: {
        demo = {
          type = "app";
          program = lib.getExe (
            pkgs.callPackage ./nix/demo.nix {
              evenkeel = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
            }
          );
          meta.description = "The whole story on a Docker Engine of its own (needs root)";
        };
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.callPackage ./nix/devshell.nix { };
      });

      formatter = eachSystem (pkgs: pkgs.callPackage ./nix/formatter.nix { });
    };
}
