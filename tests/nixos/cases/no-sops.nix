# Secrets are plain files that somebody put there; alerts go to a command.
{
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    certificate = {
      chain = "/etc/evenkeel/secrets/chain.pem";
      key = "/etc/evenkeel/secrets/key.pem";
    };
    proxy.recipe.url = "https://git.coopcloud.tech/coop-cloud/traefik.git";
    apps.notes = {
      recipe.url = "https://git.example.org/recipes/notes.git";
      secrets.session_key = "/etc/evenkeel/secrets/100%_notes";
    };
    canonical.forum = {
      recipe.url = "https://git.example.org/recipes/forum.git";
      secrets.session_key = "/etc/evenkeel/secrets/forum";
    };
    sweep.enable = false;
    alerts.command = [ "/run/current-system/sw/bin/mail-alert" ];
    prune.enable = false;
  };
}
