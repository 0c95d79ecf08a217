# The sweep: the unit that takes newer versions of what is kept warm, each after a run of its own on fresh data.
#
# It has what an upgrade unit has, since a promote stops, stores and puts back as an upgrade does. It asks for the run slot
# once and keeps it, for hours where many recipes are enrolled: a night that comes meanwhile waits for it (oneshot.nix),
# and a sweep that comes in a night waits for the slot.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  settings = cfg.finalSettings;
  unit = import ./unit.nix { inherit config lib pkgs; };
  secrets = import ./secrets.nix { inherit lib settings; };

  sweeping = lib.filter (kind: kind.sweeps or false) (import ./kinds.nix);
  description = "Take newer versions of what is kept warm, each after a run on fresh data";
in
{
  config = lib.mkIf (cfg.enable && cfg.sweep.enable) {
    systemd.services.evenkeel-sweep = unit.leftAlone (
      unit.service {
        inherit description;
        arguments = "canonical sweep";
        timeout = unit.long;
        wants = [
          "docker.service"
          "network-online.target"
          "evenkeel-swarm.service"
        ];
        # After a boot that makes up for one: gates ask through the proxy, and what a killed run left open is finished first.
        after = [
          "evenkeel-swarm.service"
          "evenkeel-proxy.service"
        ]
        ++ map (kind: "evenkeel-${kind.verb}.service") sweeping;
        asksEngine = true;
        touchesVolumes = true;
        credentials = secrets.load (lib.unique (lib.concatMap secrets.of sweeping));
        # Held, and not promoted: what is kept warm is the last known good, and the alert tells.
        serviceConfig.SuccessExitStatus = "10 11";
      }
    );

    systemd.timers.evenkeel-sweep = {
      inherit description;
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.sweep.dates;
        RandomizedDelaySec = cfg.sweep.randomizedDelay;
        Persistent = cfg.sweep.persistent;
      };
    };
  };
}
