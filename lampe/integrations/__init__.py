"""lampe inside other projects; a module for each, which imports that project and needs the extra of its name."""
