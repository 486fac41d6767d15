// Before the first paint, and therefore no module: the theme that was chosen in this browser, if any.
try {
  const theme = JSON.parse(localStorage.getItem("underpaint.theme"));
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
