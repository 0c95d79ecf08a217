# A host with a build server and its runner: Woodpecker, with sign-in by a Gitea elsewhere. The secrets are files that something
# else puts there.
{
  imports = [ ./parts/hardware.nix ];
  networking.hostName = "builds";
  system.stateVersion = "26.05";

  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    maxTests = 2;
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
    drone = {
      engine = "woodpecker";
      recipe.url = "https://git.example.org/recipes/woodpecker.git";
      secrets = {
        agent_secret = "/var/lib/secrets/woodpecker_agent";
        client_secret = "/var/lib/secrets/woodpecker_client";
      };
      gitea = {
        server = "https://git.example.org";
        clientId = "5b0b7e6c-1b0c-4f6b-9c80-0f4d9b3f0e11";
      };
      builds = {
        repositories = [ "org/notes" ];
        timeoutMinutes = 60;
        token = "/var/lib/secrets/woodpecker_admin";
      };
      runner.enable = true;
    };
  };
}
