// The command "snapkeep".
import { main } from "./cli/main.ts";

await main();
