# Units that tell people: alerts are sent on, a night that did not come is noticed, and so is a unit that failed.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  alerts = cfg.finalSettings.alerts or { };
  unit = import ./unit.nix { inherit config lib pkgs; };
  secrets = import ./secrets.nix {
    inherit lib;
    settings = cfg.finalSettings;
  };
  hasRelay = alerts ? command || alerts ? webhook;
in
{
  config = lib.mkIf cfg.enable {
    systemd.services = {
      evenkeel-watchdog = unit.service {
        description = "Look whether the last good night is too long ago";
        arguments = "alerts watchdog --after ${cfg.timers.watchdog.after}";
      };

      # The instance is a unit's name without its suffix: with a dot in it, a switch would take it for one that is gone.
      "evenkeel-failed@" = unit.service {
        description = "Write an alert that %i failed";
        arguments = "alerts failed %i";
        quiet = true;
      };

      evenkeel-alerts = lib.mkIf hasRelay (
        unit.service {
          description = "Send alerts on";
          arguments = "alerts relay";
          credentials = secrets.load secrets.alerts;
          quiet = true;
        }
      );
    };

    systemd.timers.evenkeel-watchdog = {
      description = "Look whether the last good night is too long ago";
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = cfg.timers.watchdog.dates;
    };

    systemd.paths.evenkeel-alerts = lib.mkIf hasRelay {
      description = "Send new alerts on";
      wantedBy = [ "multi-user.target" ];
      # Neither DirectoryNotEmpty= nor PathExistsGlob=: an alert that is not taken stays, and would start the unit over
      # and over. What comes while it runs is found by its last look, or by the timer.
      pathConfig.PathChanged = "${cfg.stateDir}/alerts";
    };
    systemd.timers.evenkeel-alerts = lib.mkIf hasRelay {
      description = "Send alerts on that were not taken";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "1min";
        OnUnitInactiveSec = cfg.timers.relay.interval;
      };
    };
  };
}
