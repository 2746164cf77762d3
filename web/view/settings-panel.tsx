// Everything that can be set: how the model answers, in which form, with which tools, and with which key.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Playground, PlaygroundState } from "../chat/playground.ts";
import { checkSchema, checkTools, type AnswerFormat, type Settings } from "../chat/settings.ts";
import type { Preferences, Theme } from "../store/preferences.ts";
import { JsonEditor } from "./json-editor.tsx";
import { Tabs } from "./tabs.tsx";
import { applyTheme } from "./theme.ts";

export type SettingsTab = "answer" | "format" | "tools" | "page";

const tabs = [
  ["answer", "Answer"],
  ["format", "JSON"],
  ["tools", "Tools"],
  ["page", "Page"],
] as const;

type SettingsPanelProps = {
  readonly playground: Playground;
  readonly state: PlaygroundState;
  readonly preferences: Preferences;
  readonly tab: SettingsTab;
  readonly onTab: (tab: SettingsTab) => void;
};

export function SettingsPanel({ playground, state, preferences, tab, onTab }: SettingsPanelProps) {
  const { settings } = state.conversation;
  const change = (part: Partial<Settings>) => playground.change(part);
  return (
    <Tabs label="Settings" tabs={tabs} chosen={tab} onChoose={onTab}>
      {tab === "answer" && <AnswerSettings settings={settings} change={change} state={state} playground={playground} />}
      {tab === "format" && <FormatSettings settings={settings} change={change} />}
      {tab === "tools" && <ToolSettings settings={settings} change={change} />}
      {tab === "page" && <PageSettings preferences={preferences} playground={playground} />}
    </Tabs>
  );
}

type PartProps = { readonly settings: Settings; readonly change: (part: Partial<Settings>) => void };

function AnswerSettings({
  settings,
  change,
  state,
  playground,
}: PartProps & { readonly state: PlaygroundState; readonly playground: Playground }) {
  const models = state.server.type === "ready" ? state.server.models : [];
  const choose = (id: string) => playground.chooseModel(models.find((model) => model.id === id)!);
  return (
    <>
      <label class="field">
        <span>Model</span>
        <select value={state.model?.id} disabled={models.length === 0} onChange={(event) => choose(event.currentTarget.value)}>
          {models.length === 0 && <option>Unknown: the server does not say</option>}
          {models.map(({ id, contextLength }) => (
            <option key={id} value={id}>
              {id}
              {contextLength !== undefined && ` (${contextLength.toLocaleString("en")} tokens)`}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>System prompt</span>
        <textarea rows={4} value={settings.system} placeholder="None" onInput={(event) => change({ system: event.currentTarget.value })} />
      </label>
      <SamplingSettings settings={settings} change={change} />
      <p class="hint">
        What is left empty is up to the server and the model's own recommendation. “Answer again” asks with what is set now.
      </p>
    </>
  );
}

function SamplingSettings({ settings, change }: PartProps) {
  return (
    <>
      <div class="pair">
        <label class="field">
          <span>Thinking</span>
          <select value={settings.thinking} onChange={(event) => change({ thinking: event.currentTarget.value as Settings["thinking"] })}>
            <option value="default">Default</option>
            <option value="on">On</option>
            <option value="off">Off</option>
          </select>
        </label>
        <NumberField
          label="Thinking budget"
          unit="tokens"
          min={0}
          value={settings.thinkingBudget}
          onChange={(thinkingBudget) => change({ thinkingBudget })}
        />
      </div>
      <div class="pair">
        <NumberField
          label="Temperature"
          min={0}
          max={2}
          step={0.1}
          value={settings.temperature}
          onChange={(temperature) => change({ temperature })}
        />
        <NumberField label="Top p" min={0} max={1} step={0.05} value={settings.topP} onChange={(topP) => change({ topP })} />
      </div>
      <div class="pair">
        <NumberField
          label="Longest answer"
          unit="tokens"
          min={1}
          value={settings.maxTokens}
          onChange={(maxTokens) => change({ maxTokens })}
        />
        <NumberField label="Seed" step={1} value={settings.seed} onChange={(seed) => change({ seed })} />
      </div>
    </>
  );
}

type NumberFieldProps = {
  readonly label: string;
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number;
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
};

function NumberField({ label, unit, min, max, step = 1, value, onChange }: NumberFieldProps) {
  const field = useRef<HTMLInputElement>(null);
  // Written only where it is another number: "1." and "1.0" stay as they are on their way to "1.05".
  useLayoutEffect(() => {
    if (numberIn(field.current!) !== value) field.current!.value = String(value ?? "");
  }, [value]);
  return (
    <label class="field">
      <span>{label}</span>
      <input
        ref={field}
        type="number"
        inputMode="decimal"
        placeholder={unit ?? "default"}
        min={min}
        max={max}
        step={step}
        onInput={({ currentTarget }) => onChange(numberIn(currentTarget))}
      />
    </label>
  );
}

function numberIn({ value, valueAsNumber }: HTMLInputElement): number | undefined {
  return value === "" ? undefined : valueAsNumber;
}

const formats: readonly (readonly [AnswerFormat, string])[] = [
  ["text", "Text"],
  ["json", "Any JSON object"],
  ["schema", "JSON by a schema"],
];

function FormatSettings({ settings, change }: PartProps) {
  return (
    <>
      <fieldset class="choices">
        <legend>The answer is</legend>
        {formats.map(([format, name]) => (
          <label key={format}>
            <input
              type="radio"
              name="format"
              checked={settings.format === format}
              onChange={() => change({ format, ...(format !== "text" && { useTools: false }) })}
            />
            {name}
          </label>
        ))}
      </fieldset>
      {settings.format === "schema" ? (
        <JsonEditor
          id="schema"
          label="JSON Schema"
          text={settings.schema}
          mistake={checkSchema(settings.schema)}
          onInput={(schema) => change({ schema })}
        />
      ) : (
        <p class="hint">
          With a schema the server allows only tokens that lead to valid JSON, so every whole answer conforms. Tools are not offered beside
          it.
        </p>
      )}
    </>
  );
}

function ToolSettings({ settings, change }: PartProps) {
  return (
    <>
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={settings.useTools}
          onChange={({ currentTarget: { checked } }) => change({ useTools: checked, ...(checked && { format: "text" }) })}
        />
        Offer these tools to the model
      </label>
      <JsonEditor
        id="tools"
        label="Tools, as in OpenAI's API"
        text={settings.tools}
        mistake={checkTools(settings.tools)}
        onInput={(tools) => change({ tools })}
      />
      <p class="hint">When the model calls one, you say what it returned, and the model goes on.</p>
    </>
  );
}

function PageSettings({ preferences, playground }: { readonly preferences: Preferences; readonly playground: Playground }) {
  const [key, setKey] = useState(preferences.key);
  const [isKept, setKept] = useState(preferences.isKeyKept);
  const [theme, setTheme] = useState(preferences.theme);
  const useKey = (event: Event) => {
    event.preventDefault();
    preferences.setKey(key.trim(), isKept);
    void playground.connect();
  };
  const chooseTheme = (chosen: Theme) => {
    preferences.theme = chosen;
    applyTheme(chosen);
    setTheme(chosen);
  };
  return (
    <>
      <form class="key-form" onSubmit={useKey}>
        <label class="field">
          <span>API key</span>
          <input
            id="api-key"
            type="password"
            autoComplete="off"
            spellcheck={false}
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <label class="switch">
          <input type="checkbox" checked={isKept} onChange={(event) => setKept(event.currentTarget.checked)} />
          Keep it in this browser, not only in this tab
        </label>
        <button type="submit" class="button primary">
          Use this key
        </button>
      </form>
      <fieldset class="choices row">
        <legend>Colours</legend>
        {(["auto", "light", "dark"] as const).map((name) => (
          <label key={name}>
            <input type="radio" name="theme" checked={theme === name} onChange={() => chooseTheme(name)} />
            {{ auto: "System", light: "Light", dark: "Dark" }[name]}
          </label>
        ))}
      </fieldset>
    </>
  );
}
