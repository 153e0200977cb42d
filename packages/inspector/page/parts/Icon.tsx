/** Signs, drawn with the color of the text around them. */

const paths = {
  pause: "M5 3v10M11 3v10",
  play: "M5 3l8 5-8 5z",
  download: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.5h10",
  load: "M8 10.5v-8M4.5 6L8 2.5 11.5 6M3 13.5h10",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3L14 14",
  help: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M8 13v.1",
  system: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 2.5v11M8 5h3.5M8 8h5M8 11h3.5",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  dark: "M13 9.5A5.5 5.5 0 1 1 6.5 3 4.5 4.5 0 0 0 13 9.5",
  close: "M4 4l8 8M12 4l-8 8",
  right: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  live: "M3 8h2l2-5 3 10 2-5h1.5",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z"
}

export type IconName = keyof typeof paths

export const Icon = ({ name }: { readonly name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    <path d={paths[name]} />
  </svg>
)
