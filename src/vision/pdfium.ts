// What calls of PDFium have in common.

import type { WrappedPdfiumModule } from "@embedpdf/pdfium";

export type Pdfium = WrappedPdfiumModule;

/** PDFium's handle of a file, a page, a font, a piece of its memory; 0 is none. */
export type Handle = number;

/** To be asked for again after each call that may take memory: a memory that grows is another buffer. */
export function memoryOf({ pdfium }: Pdfium): Uint8Array {
  return (pdfium as unknown as { readonly HEAPU8: Uint8Array }).HEAPU8;
}
