# Apps' tables that are refused.
let
  url = "https://git.example.org/recipes/notes.git";
  app = name: rest: {
    services.evenkeel.apps.${name} = {
      recipe = { inherit url; };
    }
    // rest;
  };
  traefik.recipe.url = "https://git.example.org/recipes/traefik.git";
  keycloak.recipe.url = "https://git.example.org/recipes/keycloak.git";
in
{
  two-apps-at-one-domain.settings.services.evenkeel.apps = {
    notes = {
      recipe = { inherit url; };
      domain = "wiki.ci.example.org";
    };
    wiki.recipe.url = url;
  };
  app-at-the-proxys-domain.settings.services.evenkeel = {
    proxy = traefik // {
      domain = "notes.ci.example.org";
    };
    apps.notes.recipe.url = url;
  };
  app-of-settings-at-the-keycloaks-domain.settings.services.evenkeel = {
    proxy = traefik;
    warmKeycloak = keycloak;
    settings.app.login = {
      recipe = { inherit url; };
      domain = "warm-keycloak.ci.example.org";
    };
  };
  keycloak-that-is-kept-warm-beside-the-one-that-is-up.settings.services.evenkeel = {
    proxy = traefik;
    warmKeycloak = keycloak;
    canonical = { inherit keycloak; };
  };
  app-at-the-domain-of-what-is-kept-warm.settings.services.evenkeel = {
    apps.warm-notes.recipe = { inherit url; };
    canonical.notes.recipe = { inherit url; };
  };
  app-of-the-name-of-what-is-kept-warm.settings.services.evenkeel = {
    apps.notes.recipe = { inherit url; };
    canonical.notes.recipe = { inherit url; };
  };
  reserved-name-of-what-is-kept-warm.settings.services.evenkeel.canonical.sweep.recipe = {
    inherit url;
  };
  password-in-the-env-of-what-is-kept-warm.settings.services.evenkeel.canonical.env = {
    recipe = { inherit url; };
    env.DB_PASSWORD = "hunter2";
  };
  http-gate-of-what-is-kept-warm-without-proxy.settings.services.evenkeel.canonical.notes = {
    recipe = { inherit url; };
    gate.http = [ { path = "/"; } ];
  };
  name-in-upper-case.settings = app "Notes" { };
  name-with-a-dot.settings = app "my.notes" { };
  name-that-is-long.settings = app "a2345678901234567890123456789012345678901" { };
  name-that-is-reserved.settings = app "snapshots" { };
  password-in-env.settings = app "notes" { env.DB_PASSWORD = "hunter2"; };
  token-in-the-settings-env.settings.services.evenkeel.settings.app.notes = {
    recipe = { inherit url; };
    env.API_TOKEN = "hunter2";
  };
  key-in-the-proxys-env.settings.services.evenkeel.proxy = traefik // {
    env.DNS_API_KEY = "hunter2";
  };
  secrets-by-any-word-in-env.settings = app "notes" {
    env = {
      SECRET_KEY_BASE = "hunter2";
      DB_PASS = "hunter2";
      SMTP_PWD = "hunter2";
      API_KEY_2 = "hunter2";
      PASSWORD_SALT = "hunter2";
      ADMIN_PASSWORD = 123456;
      smtp_credentials = "hunter2";
      DATABASE_URL = "postgres://notes:hunter2@db/notes";
    };
  };
  login-in-the-url.settings.services.evenkeel.apps.notes.recipe.url =
    "https://ci:hunter2@git.example.org/notes.git";
  http-gate-without-proxy.settings = app "notes" { gate.http = [ { path = "/"; } ]; };
  certificate-gate-without-proxy.settings = app "notes" { gate.certificate.warnDays = 30; };
  keycloak-without-proxy.settings.services.evenkeel.warmKeycloak = keycloak;
  keycloak-that-is-not-asked.settings.services.evenkeel = {
    proxy = traefik;
    warmKeycloak = keycloak // {
      gate.http = [ ];
    };
  };
}
