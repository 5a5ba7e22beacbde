import type { Limits } from "../../shared/protocol/budget.ts";
import type { State } from "../../shared/protocol/transfer.ts";
import { MAX_WEBHOOKS, type WebhookEvent } from "../../shared/protocol/webhook.ts";
import { count } from "../metrics/count.ts";
import { send } from "../webhooks/send.ts";
import { Archive } from "./archive.ts";
import { Webhooks } from "./webhooks.ts";

/** Deliveries that are sent at one time. */
const AT_ONCE = 10;
/** Shares of a budget that are told when they are reached. */
const SHARES = [100, 80] as const;

/** Tells a tenant's webhooks what happens. What is to be told is noted in the transaction in which it happens, and an alarm delivers it. */
export class Notifier extends Archive {
  protected readonly hooks = new Webhooks(this.ctx.storage.sql);

  webhooks() {
    return this.hooks.list();
  }

  /** False if there are as many as an account may have. */
  addWebhook(webhook: Parameters<Webhooks["add"]>[0], actor: string): boolean {
    return this.ctx.storage.transactionSync(() => {
      if (this.hooks.list().length >= MAX_WEBHOOKS) return false;
      this.hooks.add(webhook);
      this.note(actor, "webhook.created", webhook.id);
      return true;
    });
  }

  removeWebhook(id: string, actor: string): boolean {
    return this.ctx.storage.transactionSync(() => {
      const removed = this.hooks.remove(id);
      if (removed) this.note(actor, "webhook.deleted", id);
      return removed;
    });
  }

  deliveries(webhook: string, limit: number) {
    return this.hooks.deliveries(webhook, limit);
  }

  redeliver(webhook: string, id: string): boolean {
    const found = this.hooks.again(webhook, id);
    if (found) this.wakeAt(Date.now());
    return found;
  }

  /** Delivers what is due. Alarms come one after the other, so none is sent twice at one time. */
  override async alarm(): Promise<void> {
    if (!this.store.exists()) return;
    const due = this.hooks.due(AT_ONCE);
    await Promise.all(
      due.map(async (message) => {
        const outcome = await send(message, this.env);
        count("softpost_webhook_deliveries_total", { outcome: outcome.error === null ? "delivered" : "failed" });
        this.hooks.tried(message, outcome);
      }),
    );
    this.wakeForNext();
  }

  private wakeForNext(): void {
    const next = this.hooks.next();
    if (next !== null) this.wakeAt(next);
  }

  /** Deliveries that were restored have no alarm yet. */
  override restoreStaged(): ReturnType<Archive["restoreStaged"]> {
    const problem = super.restoreStaged();
    this.wakeForNext();
    return problem;
  }

  protected tellEnd(transfer: string, state: State): void {
    if (this.hooks.notify({ type: `transfer.${state}` as WebhookEvent, data: { transfer, state } }))
      this.wakeAt(Date.now());
  }

  /** Tells each share of a budget once until the limits change. */
  protected tellBudgets(): void {
    const account = this.store.findAccount();
    // What is spent is added up from all transfers and days: not for nobody.
    if (!account || this.hooks.list().length === 0) return;
    for (const [budget, percent] of this.shares(account.limits)) {
      const reached = SHARES.find((share) => percent >= share) ?? 0;
      if (reached <= this.hooks.mark(budget)) continue;
      this.hooks.setMark(budget, reached);
      if (this.hooks.notify({ type: "budget.reached", data: { budget, percent: reached } })) this.wakeAt(Date.now());
    }
  }

  override settleTokens(...[records]: Parameters<Archive["settleTokens"]>): void {
    super.settleTokens(records);
    if (this.store.exists()) this.tellBudgets();
  }

  /** Limits that were changed are told anew, from what is reached of them already. */
  override changeLimits(...[change, actor]: Parameters<Archive["changeLimits"]>): void {
    super.changeLimits(change, actor);
    for (const [budget, percent] of this.shares(this.store.account().limits)) {
      this.hooks.setMark(budget, SHARES.find((share) => percent >= share) ?? 0);
    }
  }

  /** How much of each budget is spent and reserved, in percent. */
  private shares({ micros, deviceSeconds, virtualTokens }: Limits): [string, number][] {
    const usage = this.spending(Date.now());
    const percent = (used: number, limit: number) => (limit === 0 ? 0 : (100 * used) / limit);
    return [
      ["money", percent(usage.micros, micros)],
      ["deviceSeconds", percent(usage.deviceSeconds, deviceSeconds)],
      ["virtualTokens", percent(usage.virtualTokens, virtualTokens)],
    ];
  }

  /** `time` is now, or that of the next try: no alarm that stands is earlier. */
  private wakeAt(time: number): void {
    // Written with what it is about: nothing is awaited between.
    void this.ctx.storage.setAlarm(time);
  }
}
