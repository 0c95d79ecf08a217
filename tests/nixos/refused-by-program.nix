# Settings that evaluate, and that the program itself refuses: such a system cannot be built, nor switched to.
{
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    apps.notes.recipe.url = "https://git.example.org/recipes/notes.git";
    settings.app.notes.verison = "1.0.0+1.0.0";
  };
}
