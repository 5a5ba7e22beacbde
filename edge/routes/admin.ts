import type { App } from "../http/app-env.ts";
import { addBackupRoutes } from "./admin/backups.ts";
import { addAdminCatalogueRoutes } from "./admin/catalogue.ts";
import { addKeyRoutes } from "./admin/keys.ts";
import { addRecordRoutes } from "./admin/records.ts";
import { addTenantRoutes } from "./admin/tenants.ts";
import { addTenantTransferRoutes } from "./admin/transfers.ts";
import { addWebhookRoutes } from "./admin/webhooks.ts";

/** What a provider administers, and of it what a tenant's own admin key may. */
export function addAdminRoutes(app: App): void {
  addTenantRoutes(app);
  addKeyRoutes(app);
  addWebhookRoutes(app);
  addAdminCatalogueRoutes(app);
  addTenantTransferRoutes(app);
  addRecordRoutes(app);
  addBackupRoutes(app);
}
