# The NixOS module: `services.evenkeel`. Each file below has one duty; this one writes the configuration and sets up the host.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  settings = cfg.finalSettings;

  unchecked = (pkgs.formats.toml { }).generate "evenkeel-unchecked.toml" settings;
  check = "${lib.getExe cfg.package} --config ${unchecked} check --config-only";
  canCheck = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
in
{
  imports = [
    ./options.nix
    ./settings.nix
    ./assertions.nix
    ./oneshot.nix
    ./runner.nix
    ./telling.nix
    ./times.nix
    ./pruning.nix
    ./sweeping.nix
    ./metrics.nix
  ];

  config = lib.mkIf cfg.enable {
    # What the units name is made by the check itself, so that a host with a wrong configuration cannot be built. Where
    # the program is built for another machine, the check before a switch is the first.
    services.evenkeel.configFile =
      if canCheck then
        pkgs.runCommand "evenkeel.toml" { preferLocalBuild = true; } ''
          ${check}
          cp ${unchecked} $out
        ''
      else
        unchecked;

    # Verbs that a person runs read the same file.
    environment.etc."evenkeel/config.toml".source = cfg.configFile;
    environment.systemPackages = [ cfg.package ];

    system.preSwitchChecks.evenkeel = ''
      ${lib.getExe cfg.package} --config ${cfg.configFile} check --config-only >/dev/null
    '';

    virtualisation.docker = {
      enable = lib.mkDefault true;
      # A Swarm cannot live with it, and NixOS has it on where system.stateVersion is older than 24.11.
      liveRestore = lib.mkDefault false;
      # Said here, whatever the default is: what a container says stays after it is gone, and within journald's bounds.
      logDriver = lib.mkDefault "journald";
      # By default it keeps volumes and every image with a tag; assertions.nix keeps it so.
      autoPrune.enable = lib.mkDefault true;
    };

    networking.firewall.allowedTCPPorts = lib.mkIf (cfg.openFirewall && settings ? proxy) [
      80
      443
    ];
  };
}
