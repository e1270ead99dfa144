// What writers have left at the place of a store, in a folder or on an object store.
import { type Leftover, leftoversIn } from "../file/leftovers.ts";
import { readAddress } from "../model/address.ts";
import { isS3Url } from "../s3/address.ts";
import { groupsOn, leftoversOn, type S3Leftover } from "../s3/leftovers.ts";
import type { StateStore } from "../store/state_store.ts";
import { type Survey, surveyOf } from "../store/survey.ts";

/** The URL of a store on an object store. */
export function objectStoreOf({ backend }: StateStore): URL | undefined {
  const url = new URL(backend.uri);
  return isS3Url(url) ? url : undefined;
}

/** Lists the hidden files or objects of writers, living or dead. */
export async function leftoversOf(store: StateStore): Promise<(Leftover | S3Leftover)[]> {
  const { path } = readAddress(new URL(store.backend.uri));
  if (path !== undefined) return await leftoversIn(path);
  const url = objectStoreOf(store);
  return url === undefined ? [] : await leftoversOn({ url });
}

/** All that lies at a place. */
export interface SurveyWithLeftovers {
  /** Snapshots, and folders that are none. */
  readonly survey: Survey;
  /** Hidden files or objects of writers, living or dead. */
  readonly leftovers: readonly (Leftover | S3Leftover)[];
}

/**
 * Surveys a place with what writers left. On an object store, groups of objects without a manifest are its partial and foreign folders:
 * `resume` passes over them, for a bucket may hold anything else.
 */
export async function surveyWithLeftovers(store: StateStore, signal: AbortSignal): Promise<SurveyWithLeftovers> {
  const url = objectStoreOf(store);
  // In this order: a group that is being saved has a claim, or is a snapshot by the time of the survey.
  const groups = url === undefined ? [] : await groupsOn({ url });
  const leftovers = await leftoversOf(store);
  const survey = await surveyOf(store, { signal });
  const known = new Set(leftovers.map(({ name }) => name));
  for (const { locator, layouts } of survey.snapshots) if (layouts.includes("directory")) known.add(locator.name);
  const bare = groups.filter((name) => !known.has(name));
  return {
    leftovers,
    survey: {
      ...survey,
      partial: [...survey.partial, ...bare.filter((name) => store.isTimedName(name))],
      foreign: [...survey.foreign, ...bare.filter((name) => !store.isTimedName(name))],
    },
  };
}
