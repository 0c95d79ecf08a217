# What an operator writes: `services.evenkeel`. settings.nix turns it into the program's own keys.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  inherit (import ./app-options.nix { inherit lib; })
    app
    drone
    optional
    path
    proxy
    text
    word
    ;
  cfg = config.services.evenkeel;

  default =
    type: default: example: description:
    mkOption {
      inherit
        type
        default
        example
        description
        ;
    };
  group =
    options: example: description:
    mkOption {
      type = types.nullOr (types.submodule { inherit options; });
      default = null;
      inherit example description;
    };
  # As systemd reads them: a unit that it does not know would let the timer run once, and never again.
  units = "(s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?)";
  span = types.strMatching "[0-9]+|[0-9]+ ?${units}( ?[0-9]+ ?${units})*" // {
    description = "time span of systemd such as \"20min\" or \"1h 30min\"";
  };
  interval = types.strMatching "[1-9][0-9]*|[1-9][0-9]* ?${units}( ?[0-9]+ ?${units})*" // {
    description = "time span of systemd such as \"2min\", and not none";
  };
  delay = "How much later it may begin, so that not all hosts ask the registries at once.";
  age = types.strMatching "[1-9][0-9]*(s|m|h|d)([0-9]+(s|m|h|d))*" // {
    description = "duration such as \"26h\" or \"8d\", and not none";
  };
  command = literalExpression ''[ "''${pkgs.mail-alert}/bin/mail-alert" "ops@example.org" ]'';
  recipe = name: { recipe.url = "https://git.coopcloud.tech/coop-cloud/${name}.git"; };

  # The keys of the whole host; `settings` knows them by the program's names.
  host = {
    baseDomain = optional text "ci.example.org" ''
      Apps answer below this domain. It has to be given.
    '';
    networkName = optional text "web" ''
      The overlay network that proxy and apps share. Default: `"proxy"`.
    '';
    networkSubnet = optional text "10.210.0.0/16" ''
      Its addresses. Default: `"10.200.0.0/16"`. Take a /16: a small one is exhausted in days, since Docker leaks addresses.
    '';
    registryAuth = optional path "/run/secrets/rendered/docker-config.json" ''
      A file with the registries' logins: a Docker `config.json`, where they stand below `auths` (credential helpers are not
      called), or a line `REGISTRY USER:TOKEN` for each.
    '';
    maxTests = optional types.int 2 ''
      How many builds the runner of the build server does at once, 1 to 1000. Default: 1.
    '';
    webhook = optional text "/run/secrets/ntfy_address" ''
      Where alerts are posted: a web address or, where that is a secret, a file with it. Default: nowhere.
    '';
    format = optional (word "json ntfy") "ntfy" ''
      How the webhook is written to: `"json"` (the default), the alert's file as it is; `"ntfy"`, a message for a
      topic of an ntfy server.
    '';
    command = optional (types.listOf text) command ''
      A program by its absolute path and its arguments, run for each alert: the file on stdin, its path in
      `EVENKEEL_ALERT`. It runs in the sandbox of {file}`evenkeel-alerts.service`, where a set-uid program such as
      `sendmail` has no rights but its caller's: hand mail to a server by SMTP. Default: none.
    '';
    watermark = optional (types.ints.between 1 99) 90 ''
      Per cent in use, of bytes or of inodes, from which a person is told that Docker's disk or that of the state
      directory fills up. Looked at by {option}`services.evenkeel.prune`. Default: 85.
    '';
  };

  # Of the units alone: the program only writes what the runner has to know.
  runner = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether this host runs the builds, {option}`services.evenkeel.maxTests` at once. They are no containers: who may push to a
        repository that the server builds runs programs here, as a user without rights.
      '';
    };
    package = mkOption {
      type = types.nullOr types.package;
      default = (import ./runners.nix { inherit config lib pkgs; }).default;
      defaultText = lib.literalMD "`pkgs.drone-runner-exec`, or `pkgs.woodpecker-agent` where that is the engine";
      example = literalExpression "pkgs.drone-runner-exec";
      description = ''
        What runs them. Drone's is not free, so nixpkgs wants to be told that you take it:
        `nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "drone-runner-exec";`. A host without
        a runner does not need that.
      '';
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [
        pkgs.bash
        pkgs.git
        pkgs.gnutar
        pkgs.gzip
      ];
      defaultText = literalExpression "[ pkgs.bash pkgs.git pkgs.gnutar pkgs.gzip ]";
      example = literalExpression "[ pkgs.bash pkgs.git pkgs.nix ]";
      description = ''
        What builds find on their `PATH`, beside {manpage}`coreutils(1)`, `find`, `grep` and `sed`. They need `git`.
      '';
    };
  };
in
{
  options.services.evenkeel = {
    enable = lib.mkEnableOption "Evenkeel, which keeps the apps of this Swarm host as declared";

    package = mkOption {
      type = types.package;
      default =
        pkgs.evenkeel
          or (throw "services.evenkeel.package: import the module from the flake, add its overlay, or name a package");
      defaultText = literalExpression "evenkeel.packages.\${system}.default";
      example = literalExpression "pkgs.evenkeel";
      description = "The program. The flake's module brings its own.";
    };

    inherit (host) baseDomain maxTests;

    stateDir = mkOption {
      type = types.str;
      default = lib.findFirst (dir: dir != null) "/var/lib/ci-warm" [ cfg.settings.state_dir ];
      defaultText = "/var/lib/ci-warm";
      example = "/data/evenkeel";
      description = ''
        Where the program keeps its files: states, secrets, snapshots, alerts. Keep it in your backups. It may lie on
        another disk than Docker's data; nothing runs while that disk is not mounted.
      '';
    };

    certificate = {
      chain = optional path "/run/secrets/wildcard_chain" ''
        PEM file with the certificate for the base domain and one label below it, then its issuers. With it no app can
        ask Let's Encrypt for a certificate. Default: the proxy does what its recipe says.
      '';
      key = optional path "/run/secrets/wildcard_key" ''
        PEM file with its private key. Default: none.
      '';
    };

    network = {
      name = host.networkName;
      subnet = host.networkSubnet;
    };

    proxy = group proxy (recipe "traefik") "The reverse proxy. Default: none is kept.";
    drone = group (drone // { inherit runner; }) (recipe "drone") ''
      A build server, Drone or Woodpecker, with sign-in by Gitea. Default: none is kept.
    '';
    warmKeycloak = group app (recipe "keycloak") ''
      A Keycloak that is always up, for everything that needs an identity provider. Default: none is kept.
    '';
    apps = mkOption {
      type = types.attrsOf (types.submodule { options = app; });
      default = { };
      example = {
        notes = recipe "notes" // {
          version = "1.0.0+1.0.0";
        };
      };
      description = ''
        Apps by their names. A name is part of the domain: lower-case letters, digits, and hyphens inside, at most
        40.
      '';
    };

    canonical = mkOption {
      type = types.attrsOf (types.submodule { options = app; });
      default = { };
      example = {
        custom-html = recipe "custom-html";
      };
      description = ''
        Apps by their names that are idle but for their tests, while their data is kept warm: for a recipe's tests to begin from
        what is known to be good. Nothing starts them but a sweep, a test, or a person.
      '';
    };
    sweep = {
      enable = mkOption {
        type = types.bool;
        default = cfg.finalSettings.canonical or { } != { };
        defaultText = lib.literalMD "whether there is a {option}`canonical`";
        example = false;
        description = ''
          Whether each {option}`canonical` is looked after regularly: one without data gets it, and a newer version that
          its policy allows runs on fresh data first; if that goes well, it becomes what is kept warm.
        '';
      };
      dates = default types.str "Sat 06:00" "05:00 UTC" ''
        When, as {manpage}`systemd.time(7)` writes it, by the clock of the host ({option}`time.timeZone`) where it names no
        zone. A night that comes meanwhile waits for its end. It ends early where a disk reaches {option}`prune.watermark`.
      '';
      randomizedDelay = default span "20min" "1h" delay;
      persistent = default types.bool true false ''
        Whether a sweep that was missed while the host was off is made up for after it boots.
      '';
    };

    publicVariables = default (types.listOf types.str) [ ] [ "ANALYTICS_KEY" ] ''
      Variables of {option}`env` that look like secrets by their name or value, and are none. Everybody on the host can read
      {option}`env`, so that what looks like a secret is refused there.
    '';

    registryAuthFile = host.registryAuth;
    alerts = { inherit (host) webhook format command; };

    prune = {
      enable = default types.bool true false ''
        Whether images without a name are removed each day, and a person is told of a disk that fills up. Images that an
        app needs, also to go back, have a name; no volume is removed.
      '';
      dates = default types.str "05:30" "04:00 UTC" ''
        When, as {manpage}`systemd.time(7)` writes it, by the clock of the host ({option}`time.timeZone`) where it names no
        zone. It waits for upgrades that are at work, for half an hour.
      '';
      inherit (host) watermark;
    };

    timers = {
      nightly = {
        dates = default types.str "03:00" "02:30" ''
          When newer versions are looked for and taken, as {manpage}`systemd.time(7)` writes it, by the clock of the host
          ({option}`time.timeZone`) where it names no zone. One timer starts the upgrades of the proxy, the build server, the
          Keycloak and the apps, one after the other.
        '';
        randomizedDelay = default span "20min" "1h" delay;
        persistent = default types.bool true false ''
          Whether a night that was missed while the host was off is made up for after it boots.
        '';
      };
      resume.interval = default interval "2min" "1min" ''
        How often an upgrade that was killed is looked for. With none, that takes a few milliseconds.
      '';
      relay.interval = default interval "5min" "1min" ''
        How often alerts are sent again that were not taken. New ones are sent at once.
      '';
      watchdog = {
        dates = default types.str "hourly" "*:0/15" ''
          When it is looked whether the last good night is too long ago, as {manpage}`systemd.time(7)` writes it.
        '';
        after = default age "26h" "8d" ''
          How long ago the last good night may be: a night and two hours. Give it more where {option}`nightly.dates` does
          not name every night.
        '';
      };
    };

    openFirewall = default types.bool true false ''
      Whether ports 80 and 443 are opened, once a proxy is declared.
    '';

    dockerDataRoot = mkOption {
      type = types.str;
      default = config.virtualisation.docker.daemon.settings.data-root or "/var/lib/docker";
      defaultText = literalExpression ''config.virtualisation.docker.daemon.settings.data-root or "/var/lib/docker"'';
      example = "/data/docker";
      description = ''
        Where Docker keeps its data. The units may write to its `volumes`, and wait for its disk.
      '';
    };

    metrics.nodeExporter.enable = lib.mkEnableOption ''
      Evenkeel's metrics in Prometheus' node exporter on this host. Its user may then list the state directory and read
      {file}`metrics.prom`, and nothing else there'';

    settings = mkOption {
      default = { };
      example = {
        engine = "unix:///run/docker.sock";
        app.notes.gate.within = "20m";
      };
      description = ''
        The program's own keys, as its README tells them, for what the options above do not say. What both say has to be
        the same.
      '';
      type = types.submodule {
        freeformType = (pkgs.formats.toml { }).type;
        options = {
          base_domain = host.baseDomain;
          state_dir = optional types.str "/data/evenkeel" ''
            As {option}`services.evenkeel.stateDir`.
          '';
          engine = optional text "unix:///run/docker.sock" ''
            The Engine's socket. Default: Docker's own.
          '';
          registry_auth = host.registryAuth;
          max_tests = host.maxTests;
          network = {
            name = host.networkName;
            subnet = host.networkSubnet;
          };
          alerts = { inherit (host) webhook format command; };
          prune = { inherit (host) watermark; };
        };
      };
    };

    finalSettings = mkOption {
      type = types.attrsOf types.anything;
      readOnly = true;
      internal = true;
      description = "All keys of the configuration.";
    };

    configFile = mkOption {
      type = types.path;
      readOnly = true;
      defaultText = lib.literalMD "made from the options";
      description = ''
        The configuration that the units name, as the program itself has checked it; also
        {file}`/etc/evenkeel/config.toml`.
      '';
    };
  };
}
