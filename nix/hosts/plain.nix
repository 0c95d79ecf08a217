# The least: a proxy and an app. The secrets are files that something else puts there.
{
  imports = [ ./parts/hardware.nix ];
  networking.hostName = "plain";
  system.stateVersion = "26.05";

  services.evenkeel = {
    enable = true;
    baseDomain = "example.org";
    certificate = {
      chain = "/var/lib/secrets/wildcard_chain.pem";
      key = "/var/lib/secrets/wildcard_key.pem";
    };
    proxy = {
      recipe.url = "https://git.coopcloud.tech/coop-cloud/traefik.git";
      compose = [
        "compose.yml"
        "compose.wildcard.yml"
      ];
      env.WILDCARDS_ENABLED = "1";
    };
    apps.notes.recipe.url = "https://git.example.org/recipes/notes.git";
  };
}
