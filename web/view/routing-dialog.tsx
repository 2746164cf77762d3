// Which experts the tokens of an answer went to: a map for text, one for pictures, and the pictures with their patches' favourites.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Attachment } from "../chat/conversation.ts";
import { describeMap, largestShare, type Modality, modalityNames, percent, type Routing, sharesOf } from "../chat/routing.ts";
import { IconButton } from "./buttons.tsx";
import { colourOf, drawMap, emptyColour } from "./draw-routing.ts";
import { PictureFavourites } from "./picture-favourites.tsx";
import { closeOutside } from "./side-panel.tsx";

export type RoutingShown = {
  readonly routing: Routing;
  /** Pictures and videos of the conversation up to the answer, in the order of the prompt. */
  readonly attachments: readonly Attachment[];
};

export function RoutingDialog({
  shown: { routing, attachments },
  onClose,
}: {
  readonly shown: RoutingShown;
  readonly onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const top = largestShare(routing);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="sheet"
      aria-label="Experts of this answer"
      onClose={onClose}
      onClick={(event) => closeOutside(event, onClose)}
    >
      <div class="sheet-inside routing">
        <header class="panel-head">
          <h2>Experts of this answer</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        <p class="hint">
          In each layer, a token goes to {routing.experts_per_token} experts: of one half for text, of the other half for pictures. The two
          never share an expert.
        </p>
        <ExpertMap routing={routing} modality="text" top={top} />
        <ExpertMap routing={routing} modality="vision" top={top} />
        <Legend top={top} />
        {routing.pictures.length > 0 && <Pictures routing={routing} attachments={attachments} />}
      </div>
    </dialog>
  );
}

function Pictures({ routing, attachments }: RoutingShown) {
  const { layers } = routing;
  const [layerIndex, setLayerIndex] = useState(layers.length - 1);
  return (
    <section class="routing-pictures" aria-label="Pictures">
      <h3>Favourite expert of each patch</h3>
      <label class="layer-slider">
        <span>
          Layer <output>{layers[layerIndex]}</output>
        </span>
        <input
          type="range"
          aria-label="Layer"
          aria-valuetext={`Layer ${layers[layerIndex]}`}
          min={0}
          max={layers.length - 1}
          value={layerIndex}
          onInput={(event) => setLayerIndex(Number(event.currentTarget.value))}
        />
      </label>
      {routing.pictures.map((picture, i) => (
        <PictureFavourites
          key={i}
          number={i + 1}
          picture={picture}
          attachment={attachments[i]}
          layerIndex={layerIndex}
          layer={layers[layerIndex]!}
        />
      ))}
    </section>
  );
}

const fewLayers = 8;

function ExpertMap({ routing, modality, top }: { readonly routing: Routing; readonly modality: Modality; readonly top: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => drawMap(canvas.current!, sharesOf(routing, modality), top), [routing, modality, top]);
  const summary = describeMap(routing, modality);
  const { layers, experts } = routing;
  const tokens = routing.computed_tokens[modality];
  const columns = experts.text[1] - experts.text[0];
  const other = experts.vision[1] - experts.vision[0];
  return (
    <figure class="expert-map">
      <figcaption>
        <strong>{modalityNames[modality].tokens}</strong>{" "}
        {tokens === 0 ? "none computed for this answer" : `${tokens.toLocaleString("en")} computed`}
      </figcaption>
      <div class="map-frame">
        <span class="map-layers" aria-hidden="true">
          <span>layer {layers[0]}</span>
          <span>{layers.at(-1)}</span>
        </span>
        <canvas
          ref={canvas}
          role="img"
          aria-label={summary}
          data-modality={modality}
          style={{ height: `${layers.length * (layers.length <= fewLayers ? 22 : 10)}px` }}
        />
      </div>
      <div class="map-banks" aria-hidden="true">
        <span style={{ flexGrow: columns }}>
          text experts {experts.text[0]}–{experts.text[1] - 1}
        </span>
        <span style={{ flexGrow: other }}>
          vision experts {experts.vision[0]}–{experts.vision[1] - 1}
        </span>
      </div>
      <details>
        <summary>In words</summary>
        <p>{summary}</p>
      </details>
    </figure>
  );
}

const legendSteps = [0.02, 0.25, 0.5, 0.75, 1];

function Legend({ top }: { readonly top: number }) {
  return (
    <ul class="map-legend" aria-label="Legend: share of the tokens that chose an expert">
      <li>
        <span class="swatch" style={{ background: emptyColour }} /> none
      </li>
      {legendSteps.map((step) => (
        <li key={step}>
          <span class="swatch" style={{ background: colourOf(step) }} /> {percent(step * top)}
        </li>
      ))}
    </ul>
  );
}
