# The unit that removes images without a name each day, and looks whether a disk fills up. Docker's own, which NixOS calls
# docker-prune, may run beside it: what it leaves is made sure here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  unit = import ./unit.nix { inherit config lib pkgs; };
in
{
  config = lib.mkIf (cfg.enable && cfg.prune.enable) {
    systemd.services.evenkeel-prune = unit.leftAlone (
      unit.service {
        description = "Remove images without a name, and tell of disks that fill up";
        arguments = "prune";
        after = [ "evenkeel-swarm.service" ];
        asksEngine = true;
      }
    );

    systemd.timers.evenkeel-prune = {
      description = "Remove images without a name, and tell of disks that fill up";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.prune.dates;
        Persistent = true;
      };
    };
  };
}
