import { defineConfig } from "vite";

// Relative addresses: the page works behind any prefix. Fixed names without hashes of the build
// machine: the committed dist is compared with a fresh build byte by byte.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    rollupOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
});
