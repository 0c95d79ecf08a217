# The host's secrets, by sops-nix: what secrets/ holds, and secrets/README.md says how it gets there.
{ config, ... }:
let
  placeholder = name: config.sops.placeholder.${name};
in
{
  sops = {
    defaultSopsFile = "${../../../secrets}/secrets.yaml";
    # So that this host can be looked at without any secret. On yours leave it out: then the file has to be there to build.
    validateSopsFiles = false;

    # The host's own key. The recovery key is one more recipient in .sops.yaml and stays in the safe: a key file that is
    # named here and missing on the host would keep all secrets away.
    age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    gnupg.sshKeyPaths = [ ];

    secrets = {
      wildcard_chain = { };
      wildcard_key = { };
      alerts_webhook = { };
      notes_session_key = { };
      docker_hub_login = { };
      docker_hub_user = { };
      docker_hub_token = { };
    };

    templates."docker-config.json".content = builtins.toJSON {
      auths."https://index.docker.io/v1/".auth = placeholder "docker_hub_login";
    };
    templates."registry-cache.env".content = ''
      REGISTRY_PROXY_USERNAME=${placeholder "docker_hub_user"}
      REGISTRY_PROXY_PASSWORD=${placeholder "docker_hub_token"}
    '';
  };
}
