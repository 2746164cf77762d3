// Attaches, shows and removes the pictures, videos and documents of a message.

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Attachment } from "../chat/conversation.ts";
import { IconButton } from "./buttons.tsx";
import { DocumentChip } from "./document-chip.tsx";
import { offeredDocuments } from "./document-type.ts";
import { Sheet } from "./sheet.tsx";

export function AttachButton({ takesVideo, onFiles }: { readonly takesVideo: boolean; readonly onFiles: (files: File[]) => void }) {
  const chooser = useRef<HTMLInputElement>(null);
  const label = takesVideo ? "Add pictures, a video or documents" : "Add pictures or documents";
  return (
    <>
      <input
        ref={chooser}
        type="file"
        hidden
        multiple
        aria-label={label}
        accept={`image/*,${takesVideo ? "video/*," : ""}${offeredDocuments}`}
        onChange={({ currentTarget }) => {
          onFiles([...(currentTarget.files ?? [])]);
          currentTarget.value = ""; // so that the same file can be chosen again
        }}
      />
      <IconButton icon="attach" label={label} onClick={() => chooser.current?.click()} />
    </>
  );
}

type AttachmentListProps = {
  readonly attachments: readonly Attachment[];
  /** More files are being read. */
  readonly isReading: boolean;
  readonly onRemove: (id: string) => void;
};

export function AttachmentList({ attachments, isReading, onRemove }: AttachmentListProps) {
  if (attachments.length === 0 && !isReading) return null;
  return (
    <ul class="attachments" aria-label="Attachments">
      {attachments.map((attachment) => (
        <li key={attachment.id}>
          <AttachmentView attachment={attachment} isSmall />
          <IconButton class="remove" icon="close" label={`Remove ${attachment.name}`} onClick={() => onRemove(attachment.id)} />
        </li>
      ))}
      {isReading && <li class="file-name under-way">Reading</li>}
    </ul>
  );
}

type AttachmentViewProps = { readonly attachment: Attachment; /** Too small for buttons. */ readonly isSmall?: boolean };

/** A picture, which opens large, or a video, or its name if the browser cannot show it; a document as a button that opens it. */
export function AttachmentView({ attachment, isSmall = false }: AttachmentViewProps) {
  const [isUnknown, setUnknown] = useState(false);
  const { kind, name, url } = attachment;
  if (kind === "document") return <DocumentChip document={attachment} />;
  if (isUnknown) return <span class="file-name">{name}</span>;
  if (kind === "video")
    return <video src={url} muted controls={!isSmall} preload="metadata" aria-label={name} onError={() => setUnknown(true)} />;
  const picture = <img src={url} alt={name} onError={() => setUnknown(true)} />;
  return isSmall ? picture : <Enlargeable name={name} url={url} picture={picture} />;
}

function Enlargeable({ name, url, picture }: { readonly name: string; readonly url: string; readonly picture: VNode }) {
  const [isLarge, setLarge] = useState(false);
  return (
    <>
      <button type="button" class="enlarge" title="Enlarge" onClick={() => setLarge(true)}>
        {picture}
      </button>
      {isLarge && (
        <Sheet title={name} onClose={() => setLarge(false)}>
          <img class="large-picture" src={url} alt={name} />
        </Sheet>
      )}
    </>
  );
}
