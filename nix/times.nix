# Times that systemd would not take, or that do not fit each other.
#
# systemd leaves a timer with a calendar expression that it cannot read as it is: no unit fails, and no night comes. So each
# one is read when the system is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  inherit (cfg) timers;
  zone = config.time.timeZone;
  canCheck = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;

  # Zones are looked up here: where a build runs, systemd finds none.
  read = option: dates: ''
    dates=${lib.escapeShellArg dates}
    zone=''${dates##* }
    [ ! -f "${pkgs.tzdata}/share/zoneinfo/$zone" ] || dates=''${dates% *}
    ${config.systemd.package}/bin/systemd-analyze calendar "$dates" >/dev/null || {
      echo "services.evenkeel.${option} is no calendar expression of systemd (man systemd.time):" \
        ${lib.escapeShellArg dates} >&2
      exit 1
    }
  '';

  # Nights by the host's clock, and windows by another.
  apps = import ./apps.nix {
    inherit lib;
    settings = cfg.finalSettings;
  };
  isOfNoZone = app: builtins.match "[^ ]+" (toString (app.table.policy.window or "")) != null;
  isSwept = app: app.kind.sweeps or false;
  zoneless = lib.partition isSwept (lib.filter isOfNoZone apps);
  isLocal =
    !builtins.elem zone [
      null
      "UTC"
      "Etc/UTC"
    ];
  outside =
    timer: apps:
    lib.optional (isLocal && apps != [ ]) (oneLine ''
      ${lib.concatMapStringsSep ", " (app: "${app.option}.policy.window") apps}: in UTC, since no zone is named, and
      ${timer} goes by ${zone}. Where its time lies outside the window nothing is ever taken: write such as
      "02:00-05:00 ${zone}".
    '');

  oneLine = text: lib.trim (lib.replaceStrings [ "\n" ] [ " " ] text);
  day = "mon|tue|wed|thu|fri|sat|sun";
  isRare =
    builtins.match "weekly|monthly|quarterly|semiannually|yearly|annually|(${day}).*" (
      lib.toLower timers.nightly.dates
    ) != null;
in
{
  config = lib.mkIf cfg.enable {
    system.checks = lib.optional canCheck (
      pkgs.runCommand "evenkeel-times" { preferLocalBuild = true; } ''
        ${read "timers.nightly.dates" timers.nightly.dates}
        ${read "timers.watchdog.dates" timers.watchdog.dates}
        ${lib.optionalString cfg.prune.enable (read "prune.dates" cfg.prune.dates)}
        ${lib.optionalString cfg.sweep.enable (read "sweep.dates" cfg.sweep.dates)}
        touch $out
      ''
    );

    warnings =
      outside "evenkeel-nightly.timer" zoneless.wrong
      ++ outside "evenkeel-sweep.timer" zoneless.right
      ++ lib.optional (isRare && timers.watchdog.after == "26h") (oneLine ''
        services.evenkeel.timers.nightly.dates names not every night, and the watchdog tells of a night that is more than
        26 hours ago. Set services.evenkeel.timers.watchdog.after, such as "8d".
      '');
  };
}
