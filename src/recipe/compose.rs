//! The compose files of a recipe as one typed project, as `docker stack deploy` reads them.
