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

    # The host's own key; and a second one, for the day when the host is lost: the recovery key is put there then. Until then
    # a key of no meaning lies there, since a file that is named and missing would keep all secrets away.
    age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    age.keyFile = "/var/lib/sops-nix/key.txt";
    age.generateKey = true;
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
