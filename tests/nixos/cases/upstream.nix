# Recipes as Co-op Cloud publishes them: a proxy with a wildcard certificate, a Keycloak, an app. A host declares sops-nix'
# service and one more key in `settings`.
{
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    certificate = {
      chain = "/run/secrets/wildcard_chain";
      key = "/run/secrets/wildcard_key";
    };
    proxy = {
      recipe.url = "https://git.coopcloud.tech/coop-cloud/traefik.git";
      compose = [
        "compose.yml"
        "compose.wildcard.yml"
      ];
      env.WILDCARDS_ENABLED = "1";
    };
    warmKeycloak = {
      recipe.url = "https://git.coopcloud.tech/coop-cloud/keycloak.git";
      policy = {
        minAge = "24h";
        window = "02:00-05:00";
      };
    };
    apps.custom-html.recipe.url = "https://git.coopcloud.tech/coop-cloud/custom-html.git";
    alerts = {
      webhook = "https://hooks.example.org/evenkeel";
      format = "json";
    };
    settings.app.custom-html.gate.http = [
      {
        path = "/";
        status = 200;
      }
    ];
  };
}
