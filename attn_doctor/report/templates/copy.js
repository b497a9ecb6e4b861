document.addEventListener("DOMContentLoaded", () => {
  const said = document.createElement("p");
  said.className = "away";
  said.setAttribute("role", "status");
  (document.querySelector("main") || document.body).append(said);
  for (const box of document.querySelectorAll(".attn-doctor .command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = box.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      said.textContent = "The command was copied.";
      setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
    });
    box.classList.add("live");
    box.append(button);
  }
});
