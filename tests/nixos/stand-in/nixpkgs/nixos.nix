# A stand-in for the part of NixOS that a service module declares into: systemd units, tmpfiles, etc files, assertions.
# `rendered` holds the result: file name -> { text } or { link }, relative to /.
# Types and texts follow NixOS; what is declared `anything` is accepted unchecked.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatMapStrings concatStringsSep filterAttrs mapAttrs mapAttrs' mapAttrsToList mkOption nameValuePair optional optionalAttrs types;

  opt = type: default: description: mkOption { inherit type default description; };
  names = opt (types.listOf types.str) [ ] "Names of units.";
  scalar = types.oneOf [ types.bool types.int types.float types.str types.path types.package ];
  # as in NixOS: if one definition is a list, all are concatenated; else they must be equal
  unitValue = types.either scalar (types.listOf scalar) // {
    description = "systemd value";
    merge = loc: defs:
      if lib.any (d: builtins.isList d.value) defs then lib.concatMap (d: lib.toList d.value) defs
      else (types.unspecified // { }).merge loc defs;
  };
  section = description: opt (types.attrsOf unitValue) { } description;

  relations = { after = "After"; before = "Before"; wants = "Wants"; requires = "Requires"; bindsTo = "BindsTo"; partOf = "PartOf"; upholds = "Upholds"; conflicts = "Conflicts"; requisite = "Requisite"; onFailure = "OnFailure"; onSuccess = "OnSuccess"; };
  unitOptions = lib.genAttrs (lib.attrNames relations) (_: names) // {
    enable = opt types.bool true "Whether the unit may be started; false masks it.";
    description = opt types.singleLineStr "" "Description.";
    documentation = opt (types.listOf types.str) [ ] "Where to read about it.";
    unitConfig = section "Lines of [Unit].";
    wantedBy = names;
    requiredBy = names;
    startLimitBurst = opt (types.nullOr types.int) null "StartLimitBurst.";
    startLimitIntervalSec = opt (types.nullOr types.int) null "StartLimitIntervalSec.";
    restartTriggers = opt (types.listOf types.unspecified) [ ] "A change of these restarts the unit.";
    reloadTriggers = opt (types.listOf types.unspecified) [ ] "A change of these reloads the unit.";
    overrideStrategy = opt (types.enum [ "asDropinIfExists" "asDropin" ]) "asDropinIfExists" "File of its own, or drop-in.";
  };
  scripts = { script = "ExecStart"; preStart = "ExecStartPre"; postStart = "ExecStartPost"; reload = "ExecReload"; preStop = "ExecStop"; postStop = "ExecStopPost"; };
  serviceOptions = unitOptions // lib.genAttrs (lib.attrNames scripts) (_: opt types.lines "" "Shell commands.") // {
    serviceConfig = section "Lines of [Service].";
    environment = opt (types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package types.int ]))) { } "Environment.";
    path = opt (types.listOf (types.oneOf [ types.package types.str ])) [ ] "Packages on PATH.";
    startAt = opt (types.coercedTo types.str lib.toList (types.listOf types.str)) [ ] "Calendar times.";
    restartIfChanged = opt types.bool true "Restart at a switch when changed.";
    reloadIfChanged = opt types.bool false "Reload instead.";
    stopIfChanged = opt types.bool true "Stop first, start after the switch.";
    notSocketActivated = opt types.bool false "";
  };
  unitsOf = options: opt (types.attrsOf (types.submodule { inherit options; })) { } "Units.";

  # --- texts
  line = k: v: concatMapStrings (x: "${k}=${if builtins.isBool x then lib.boolToString x else toString x}\n") (lib.toList v);
  lines = a: lib.concatStrings (mapAttrsToList line a);
  unitSection = u: "[Unit]\n" + lines (
    filterAttrs (_: v: v != "" && v != null) (mapAttrs (_: v: concatStringsSep " " v) (mapAttrs' (o: k: nameValuePair k u.${o}) relations) // {
      Description = u.description;
      Documentation = concatStringsSep " " u.documentation;
      StartLimitBurst = u.startLimitBurst;
      StartLimitIntervalSec = u.startLimitIntervalSec;
      X-Restart-Triggers = concatStringsSep " " (map toString u.restartTriggers);
      X-Reload-Triggers = concatStringsSep " " (map toString u.reloadTriggers);
    })
    // u.unitConfig);

  # As NixOS does, these stand in [Service], before what serviceConfig says; X-Restart-Triggers and X-StopOnRemoval in [Unit].
  atSwitch = u: lines (
    (if u.reloadIfChanged then { X-ReloadIfChanged = true; } else optionalAttrs (!u.restartIfChanged) { X-RestartIfChanged = false; })
    // optionalAttrs (!u.stopIfChanged) { X-StopIfChanged = false; }
    // optionalAttrs u.notSocketActivated { X-NotSocketActivated = true; });

  install = u: let
      l = k: v: lib.optionalString (v != [ ]) "${k}=${concatStringsSep " " v}\n";
      t = l "RequiredBy" u.requiredBy + l "WantedBy" u.wantedBy;
    in lib.optionalString (t != "") "\n[Install]\n${t}";

  quoted = k: v: "Environment=${builtins.toJSON "${k}=${toString v}"}\n";
  base = map (n: pkgs.${n}) [ "coreutils" "findutils" "gnugrep" "gnused" "systemd" ];
  search = sub: l: lib.unique (map (x: "${x}/${sub}") l);
  service = name: u:
    let
      asScript = o: key: lib.optionalString (u.${o} != "") "${key}=${pkgs.writeShellScript "${name}-${o}" ("set -e\n" + u.${o})}\n";
      path = u.path ++ base;
      environment = { PATH = concatStringsSep ":" (search "bin" path ++ search "sbin" path); } // filterAttrs (_: v: v != null) u.environment;
    in
    unitSection u + "\n[Service]\n" + lib.optionalString (!isDropin u) (lib.concatStrings (mapAttrsToList quoted environment))
    + atSwitch u + lib.concatStrings (mapAttrsToList asScript scripts) + lines u.serviceConfig + install u;
  isDropin = u: u.overrideStrategy == "asDropin" || u ? serviceConfig && !(u.serviceConfig ? ExecStart) && u.script == "";

  place = "etc/systemd/system";
  files = suffix: text: units: lib.concatMapAttrs (n: u:
    let name = "${n}.${suffix}"; in
    (if !u.enable then { "${place}/${name}".link = "/dev/null"; }
     else if isDropin u then { "${place}/${name}.d/overrides.conf".text = text n u; }
     else { "${place}/${name}".text = text n u; })
    // lib.genAttrs (map (t: "${place}/${t}.wants/${name}") u.wantedBy ++ map (t: "${place}/${t}.requires/${name}") u.requiredBy) (_: { link = "../${name}"; })) units;
  with' = key: field: _: u: unitSection u + "\n[${key}]\n" + lines u.${field} + install u;

  tmpfile = path: type: e: "${type} '${path}' ${concatStringsSep " " (map (k: if e.${k} == "" || e.${k} == null then "-" else e.${k}) [ "mode" "user" "group" "age" ])} ${e.argument}\n";
  tmpfileEntry = types.submodule { options = lib.genAttrs [ "mode" "user" "group" "age" ] (_: opt types.str "-" "") // { argument = opt types.str "" ""; type = opt types.str "" ""; }; };
  free = opt (types.lazyAttrsOf types.anything) { } "Accepted unchecked.";
in
{
  options = {
    assertions = opt (types.listOf (types.submodule { options = { assertion = mkOption { type = types.bool; }; message = mkOption { type = types.str; }; }; })) [ ] "";
    warnings = opt (types.listOf types.str) [ ] "";
    environment.etc = opt (types.attrsOf (types.submodule { options = { enable = opt types.bool true ""; text = opt (types.nullOr types.lines) null ""; source = opt (types.nullOr types.path) null ""; mode = opt types.str "symlink" ""; }; })) { } "";
    environment.systemPackages = opt (types.listOf types.package) [ ] "";
    systemd = {
      services = unitsOf serviceOptions;
      timers = unitsOf (unitOptions // { timerConfig = section "Lines of [Timer]."; });
      paths = unitsOf (unitOptions // { pathConfig = section "Lines of [Path]."; });
      sockets = unitsOf (unitOptions // { socketConfig = section "Lines of [Socket]."; });
      slices = unitsOf (unitOptions // { sliceConfig = section "Lines of [Slice]."; });
      targets = unitsOf unitOptions;
      tmpfiles.rules = opt (types.listOf types.str) [ ] "";
      tmpfiles.settings = opt (types.attrsOf (types.attrsOf (types.attrsOf tmpfileEntry))) { } "";
      package = opt types.package pkgs.systemd "";
    };
    virtualisation.docker = {
      enable = opt types.bool false "";
      enableOnBoot = opt types.bool true "";
      liveRestore = opt types.bool false "";
      package = opt types.package pkgs.docker "";
      logDriver = opt types.str "journald" "";
      extraOptions = opt (types.separatedString " ") "" "";
      daemon.settings = free;
      autoPrune = { enable = opt types.bool false ""; dates = opt types.str "weekly" ""; flags = opt (types.listOf types.str) [ ] ""; allVolumes.enable = opt types.bool false ""; };
    };
    system = { stateVersion = opt types.str "26.05" ""; checks = opt (types.listOf types.package) [ ] ""; preSwitchChecks = opt (types.attrsOf types.lines) { } ""; };
    networking = { proxy = lib.genAttrs [ "default" "noProxy" ] (_: opt (types.nullOr types.str) null "") // { envVars = opt (types.attrsOf types.str) { } ""; }; hostName = opt types.str "host" ""; firewall = { enable = opt types.bool true ""; allowedTCPPorts = opt (types.listOf types.port) [ ] ""; allowedUDPPorts = opt (types.listOf types.port) [ ] ""; }; };
    services.prometheus.exporters.node = { enable = opt types.bool false "As in NixOS."; enabledCollectors = opt (types.listOf types.str) [ ] "As in NixOS."; extraFlags = opt (types.listOf types.str) [ ] "As in NixOS."; user = opt types.str "node-exporter" "As in NixOS."; };
    users = free;
    security = free;
    boot = free;
    rendered = mkOption { type = types.attrsOf types.attrs; internal = true; readOnly = true; };
  };

  config = {
    networking.proxy.envVars =
      let inherit (config.networking) proxy; in
      optionalAttrs (proxy.default != null) ({ no_proxy = "127.0.0.1,localhost"; } // lib.genAttrs [ "http_proxy" "https_proxy" "rsync_proxy" "ftp_proxy" "all_proxy" ] (_: proxy.default))
      // optionalAttrs (proxy.noProxy != null) { no_proxy = proxy.noProxy; };
    systemd.timers = mapAttrs (_: s: { wantedBy = [ "timers.target" ]; timerConfig.OnCalendar = s.startAt; }) (filterAttrs (_: s: s.enable && s.startAt != [ ]) config.systemd.services);
    rendered =
      files "service" service config.systemd.services
      // files "timer" (with' "Timer" "timerConfig") config.systemd.timers
      // files "path" (with' "Path" "pathConfig") config.systemd.paths
      // files "socket" (with' "Socket" "socketConfig") config.systemd.sockets
      // files "slice" (with' "Slice" "sliceConfig") config.systemd.slices
      // files "target" (_: unitSection) config.systemd.targets
      // mapAttrs' (n: paths: nameValuePair "etc/tmpfiles.d/${n}.conf" { text = lib.concatStrings (lib.concatLists (mapAttrsToList (p: ts: mapAttrsToList (t: e: tmpfile p (if e.type == "" then t else e.type) e) ts) paths)); }) config.systemd.tmpfiles.settings
      // optionalAttrs (config.systemd.tmpfiles.rules != [ ]) { "etc/tmpfiles.d/00-nixos.conf".text = concatMapStrings (r: "${r}\n") config.systemd.tmpfiles.rules; }
      // mapAttrs' (n: text: nameValuePair "pre-switch-checks/${n}" { inherit text; }) config.system.preSwitchChecks
      // mapAttrs' (n: f: nameValuePair "etc/${n}" (if f.text != null then { inherit (f) text; } else { link = toString f.source; })) (filterAttrs (_: f: f.enable) config.environment.etc);
  };
}
