# Each option at another value than its own default.
{ pkgs, ... }:
let
  app = name: {
    recipe = {
      url = "https://git.example.org/recipes/${name}.git";
      credentials = "/run/secrets/git";
    };
    domain = "${name}.example.net";
    version = "2.4.0+1.9.1";
    compose = [
      "compose.yml"
      "compose.mariadb.yml"
    ];
    env = {
      TZ = "Europe/Berlin";
      WORKERS = 4;
      SIGN_UP = false;
      SECRET_DB_PASSWORD_VERSION = "v1";
      RECAPTCHA_PUBLIC_KEY = "abc";
      TURNSTILE_SITE_KEY = "abc";
      TOKEN_LIFETIME = "3600s";
      PASSWORD_MIN_LENGTH = 12;
      REQUIRE_TOKEN = true;
      ALLOW_PASSWORD = "yes";
      DATABASE_URL = "postgres://notes:\${DB_PASSWORD}@db/notes";
      HOME_PAGE = "https://someone@example.org/a:b@c";
      ANALYTICS_KEY = "abc";
      SESSION_KEY = "/run/secrets/in_the_container";
    };
    envFiles = [ "/run/secrets/${name}.env" ];
    secrets.smtp_password = "/run/secrets/smtp";
    resolve = "always";
    gate = {
      within = "20m";
      stableFor = "1m30s";
      successes = 5;
      http = [
        {
          path = "/health?full=1";
          status = [
            200
            204
          ];
          body = "ok";
          pattern = "Version 2\\.[0-9]+";
          header.content-type = "text/html";
          auth = "/run/secrets/${name}_login";
          host = "chat.example.net";
          assets = true;
        }
        {
          path = "/old";
          status = 301;
          redirect = "https://";
        }
      ];
      tcp = [ 2222 ];
      certificate = {
        warnDays = 30;
        failDays = 3;
      };
    };
    policy = {
      auto = "patch";
      notes = "alert";
      never = [ "3.0.0+2.0.0" ];
      minAge = "24h";
      window = "02:00-05:00 Europe/Berlin";
      lateRollback = true;
    };
    snapshot = {
      exclude = [ "cache" ];
      external = [ "media" ];
      unclean = "allow";
    };
  };
in
{
  virtualisation.docker.logDriver = "json-file";
  virtualisation.docker.daemon.settings.log-opts.max-size = "10m";
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    certificate = {
      chain = "/run/secrets/wildcard_chain";
      key = "/run/secrets/wildcard_key";
    };
    network = {
      name = "web";
      subnet = "10.210.0.0/16";
    };
    proxy = app "front" // {
      address = "192.0.2.10";
    };
    drone = app "builds" // {
      engine = "drone";
      secrets = {
        rpc_secret = "/run/secrets/drone_rpc";
        client_secret = "/run/secrets/drone_client";
      };
      gitea = {
        server = "https://git.example.org/gitea";
        clientId = "5b0b7e6c-1b0c-4f6b-9c80-0f4d9b3f0e11";
      };
      rpc = "builds.example.net:8443";
      builds = {
        timeoutMinutes = 90;
        trusted = true;
        repositories = [
          "org/notes"
          "org/wiki"
        ];
        token = "/run/secrets/drone_admin";
      };
      runner = {
        enable = true;
        packages = [ pkgs.jq ];
      };
    };
    warmKeycloak = app "login";
    apps.notes = app "notes";
    apps.wiki.recipe.url = "ssh://git@git.example.org/recipes/wiki.git";
    canonical.forum = app "forum";
    canonical.wiki-kept.recipe.url = "ssh://git@git.example.org/recipes/wiki.git";
    sweep = {
      dates = "*-*-* 05:00 UTC";
      randomizedDelay = "1h";
      persistent = false;
    };
    registryAuthFile = "/run/secrets/rendered/docker-config.json";
    publicVariables = [ "ANALYTICS_KEY" ];
    maxTests = 2;
    alerts = {
      webhook = "/run/secrets/ntfy_address";
      format = "ntfy";
      command = [
        "/run/current-system/sw/bin/mail-alert"
        "ops@example.org"
      ];
    };
    prune = {
      dates = "04:00 UTC";
      watermark = 90;
    };
    timers = {
      nightly = {
        dates = "02:30";
        randomizedDelay = "1h";
        persistent = false;
      };
      resume.interval = "1min";
      relay.interval = "1min";
      watchdog = {
        dates = "*:0/15";
        after = "8d";
      };
    };
    metrics.nodeExporter.enable = true;
    settings.engine = "unix:///run/docker.sock";
  };
}
