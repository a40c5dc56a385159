import type { TestGateway } from './gateway.js';
import { rest } from './rest.js';

/** One line of a scrape that is a figure. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a gateway told at one moment. */
export class Scrape {
  readonly samples: readonly Sample[];
  /** Name, without the prefix, to type. */
  readonly types: ReadonlyMap<string, string>;

  constructor(readonly text: string) {
    this.types = new Map(
      [...text.matchAll(/^# TYPE gatehouse_(\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]),
    );
    this.samples = [...text.matchAll(/^gatehouse_(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(
      ([, name = '', labels = '', value]) => ({
        name,
        labels: Object.fromEntries(
          [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value]),
        ),
        value: Number(value),
      }),
    );
  }

  /** The sum of what has this name and these labels. */
  of(name: string, labels: Record<string, string> = {}): number {
    return this.samples
      .filter(
        (each) => each.name === name && Object.entries(labels).every(([label, text]) => each.labels[label] === text),
      )
      .reduce((sum, { value }) => sum + value, 0);
  }
}

/** @throws Error when it is refused */
export async function scrape(gateway: TestGateway, credential: string): Promise<Scrape> {
  const { status, text } = await rest(gateway, credential, 'GET', '/metrics');
  if (status !== 200) throw new Error(`no scrape: ${text}`);
  return new Scrape(text);
}
