# The least that keeps anything: one app, without a proxy.
{
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    apps.notes.recipe.url = "https://git.example.org/recipes/notes.git";
  };
}
