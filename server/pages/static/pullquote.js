// A form that could not be sent in place is sent as it would be without scripts: the browser then says what is wrong.
document.addEventListener("htmx:error", (event) => {
  const form = event.target.closest("form");
  const pressed = event.detail.ctx?.request.submitter;
  if (!form) return;
  if (pressed?.name) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: pressed.name, value: pressed.value });
    form.append(field);
  }
  form.submit();
});
