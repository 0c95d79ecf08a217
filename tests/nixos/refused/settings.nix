# Where the comfortable level and `settings` say different things, both are named.
let
  url = "https://git.example.org/recipes/notes.git";
in
{
  base-domain.settings.services.evenkeel.settings.base_domain = "other.example.org";
  state-dir.settings.services.evenkeel = {
    stateDir = "/data/evenkeel";
    settings.state_dir = "/srv/evenkeel";
  };
  network.settings.services.evenkeel = {
    network.subnet = "10.210.0.0/16";
    settings.network.subnet = "10.220.0.0/16";
  };
  registry-auth.settings.services.evenkeel = {
    registryAuthFile = "/run/secrets/a";
    settings.registry_auth = "/run/secrets/b";
  };
  certificate.settings.services.evenkeel = {
    proxy.recipe.url = url;
    certificate = {
      chain = "/run/secrets/chain";
      key = "/run/secrets/key";
    };
    settings.proxy.certificate.key = "/run/secrets/other";
  };
  gate-of-what-is-kept-warm.settings.services.evenkeel = {
    canonical.env = {
      recipe = { inherit url; };
      gate.stableFor = "1m";
    };
    settings.canonical.env.gate.stable_for = "2m";
  };
  version-and-variable-of-an-app.settings.services.evenkeel = {
    apps.notes = {
      recipe = { inherit url; };
      version = "1.0.0+1.0.0";
      env.SMTP_HOST = "a.example.org";
      gate.stableFor = "1m";
    };
    settings.app.notes = {
      version = "2.0.0+1.0.0";
      env.SMTP_HOST = "b.example.org";
      gate.stable_for = "2m";
    };
  };
}
