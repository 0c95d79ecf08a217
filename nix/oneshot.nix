# Units that keep apps. THE one place where a reconciler's units are made, for each kind of kinds.nix that is declared.
#
# Each kind has two. The activation unit runs at boot and at each switch, looks for no newer version, and is over soon.
# The upgrade unit is started by the nightly timer, and by an activation that found another version declared. Both may
# run at once: the program's locks keep them from one app. A kind that sweeps has the first one only.
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
  inherit (unit) leftAlone long;
  secrets = import ./secrets.nix { inherit lib settings; };

  declared = lib.filter (kind: settings.${kind.key} or { } != { }) (import ./kinds.nix);
  before = kind: lib.filter (other: other.place < kind.place) placed;
  placed = lib.imap0 (place: kind: kind // { inherit place; }) declared;
  nightly = lib.filter (kind: !(kind.sweeps or false)) placed;

  activation = kind: "evenkeel-${kind.verb}.service";
  upgrade = kind: "evenkeel-${kind.verb}-upgrade.service";
  wanted = [
    "docker.service"
    "network-online.target"
    "evenkeel-swarm.service"
  ];

  # No RemainAfterExit: what is active is started neither by a switch nor by a timer.
  reconciler =
    kind: options:
    leftAlone (
      unit.service (
        {
          asksEngine = true;
          touchesVolumes = true;
          credentials = secrets.load (secrets.of kind);
          # Held, and rolled back: the host is healthy on what ran before, and the alert tells.
          serviceConfig.SuccessExitStatus = "10 11";
        }
        // options
      )
    );
  activationUnit =
    kind:
    reconciler kind {
      description = "Keep ${kind.what} as declared";
      arguments = if kind.sweeps or false then kind.verb else "${kind.verb} --no-upgrade";
      wants = wanted ++ map activation (before kind);
      after = [ "evenkeel-swarm.service" ] ++ map activation (before kind);
    }
    // {
      wantedBy = [ "multi-user.target" ];
    };
  upgradeUnit =
    kind:
    reconciler kind {
      description = "Keep ${kind.what} as declared, in the newest version that the policy allows";
      arguments = kind.verb;
      timeout = long;
      wants = wanted;
      # One after the other, and none during a sweep: a night would lose one of two that ask for the run slot at once.
      after = [
        "evenkeel-swarm.service"
        (activation kind)
      ]
      ++ lib.optional cfg.sweep.enable "evenkeel-sweep.service"
      ++ map upgrade (before kind);
    };
  units =
    suffix: make: kinds:
    lib.listToAttrs (
      map (kind: lib.nameValuePair "evenkeel-${kind.verb}${suffix}" (make kind)) kinds
    );
in
{
  config = lib.mkIf cfg.enable {
    systemd.services = units "" activationUnit placed // units "-upgrade" upgradeUnit nightly // {
      evenkeel-swarm =
        unit.service {
          description = "This node as a Swarm manager, with the shared network";
          arguments = "swarm";
          asksEngine = true;
          wants = [
            "docker.service"
            "network-online.target"
          ];
          serviceConfig.RemainAfterExit = true;
        }
        // {
          wantedBy = [ "multi-user.target" ];
        };

      evenkeel-nightly = leftAlone (
        unit.service {
          description = "Upgrade what the policy allows, and look how the night went";
          arguments = "alerts watchdog --after ${cfg.timers.watchdog.after}";
          timeout = long;
          wants = map upgrade nightly;
          after = map upgrade nightly;
        }
      );

      # From the journal alone, and the state directory has the secrets' bytes: it needs no file of the operator's.
      evenkeel-resume = leftAlone (
        unit.service {
          description = "Finish what a killed run left open";
          arguments = "resume";
          after = [ "evenkeel-swarm.service" ];
          asksEngine = true;
          touchesVolumes = true;
          timeout = long;
          serviceConfig.SuccessExitStatus = "10 11";
        }
      );
    };

    # One timer with one delay for all kinds.
    systemd.timers.evenkeel-nightly = {
      description = "Upgrade what the policy allows";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.timers.nightly.dates;
        RandomizedDelaySec = cfg.timers.nightly.randomizedDelay;
        Persistent = cfg.timers.nightly.persistent;
      };
    };
    systemd.timers.evenkeel-resume = {
      description = "Look for what a killed run left open";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "30s";
        OnUnitInactiveSec = cfg.timers.resume.interval;
      };
    };

    systemd.tmpfiles.settings."10-evenkeel" = lib.mkIf (unit.stateDirectory == null) {
      ${cfg.stateDir}.d = {
        mode = unit.stateMode;
        user = "root";
        group = "root";
      };
    };
  };
}
