# A host with a proxy, a Keycloak, an app, and a recipe whose data is kept warm for its tests. Its secrets come by sops-nix.
{ config, ... }:
let
  secret = name: config.sops.secrets.${name}.path;
in
{
  imports = [
    ./parts/hardware.nix
    ./parts/secrets.nix
    ./parts/cache.nix
  ];
  networking.hostName = "example";
  services.openssh.enable = true;
  system.stateVersion = "26.05";

  services.evenkeel = {
    enable = true;
    baseDomain = "example.org";
    certificate = {
      chain = secret "wildcard_chain";
      key = secret "wildcard_key";
    };
    registryAuthFile = config.sops.templates."docker-config.json".path;
    alerts.webhook = secret "alerts_webhook";
    timers.nightly.dates = "02:30";

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
      policy.minAge = "24h";
    };
    apps.notes = {
      recipe.url = "https://git.example.org/recipes/notes.git";
      secrets.session_key = secret "notes_session_key";
    };
    canonical.custom-html.recipe.url = "https://git.coopcloud.tech/coop-cloud/custom-html.git";
  };
}
