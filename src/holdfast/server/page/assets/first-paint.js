// Before anything is painted: the colours that were chosen, so that a dark page does not flash white. Modules come too late.
try {
  const theme = JSON.parse(localStorage.getItem("holdfast.theme"));
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // storage is forbidden here, or spoiled: the system's colours it is
}
