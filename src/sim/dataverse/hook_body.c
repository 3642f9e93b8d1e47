/* The body of a webhook post: a RemoteExecutionContext as .NET's DataContract serializer writes it,
 * a second one nested in it as ParentContext.
 * Source: "Use webhooks", payloads that others have recorded. What a deletion of an F&O row and the
 * members of (dis)associations look like is a guess, told in docs/SIMULATOR.md. */
#include "sim/dataverse/hook.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/clock.h"
#include "sim/dataverse/row.h"
#include "sim/random.h"

#define CONTRACTS "http:\\/\\/schemas.microsoft.com\\/xrm\\/2011\\/Contracts"

/* What the writing of one context needs. */
struct context {
    const struct dv_post *post;
    uint64_t seed;
    char id[DV_GUID_SIZE];
    struct sim_text *out;
};

const char *dv_post_message(const struct dv_post *post)
{
    bool external = post->news.image.schema->is_virtual;
    switch (post->news.op) {
    case DV_CREATE:
    case DV_RECREATE:
        return external ? "OnExternalCreated" : "Create";
    case DV_DELETE:
        return external ? "OnExternalDeleted" : "Delete";
    case DV_ASSOCIATE:
        return "Associate";
    case DV_DISASSOCIATE:
        return "Disassociate";
    default:
        return external ? "OnExternalUpdated" : "Update";
    }
}

static void add_guid(struct sim_text *out, const char *name, uint64_t number)
{
    char guid[DV_GUID_SIZE];
    dv_guid_of(number, guid);
    sim_text_member(out, name, guid);
}

/* The members of an Entity behind its opening brace; an image has no __type. */
static void add_entity(const struct context *context, bool typed, bool changed_only)
{
    const struct dv_image *image = &context->post->news.image;
    struct sim_text *out = context->out;
    sim_text_puts(out, typed ? "{\"__type\":\"Entity:" CONTRACTS "\",\"Attributes\":["
                             : "{\"Attributes\":[");
    dv_row_attributes(image, changed_only, out);
    sim_text_puts(out, "],\"EntityState\":null,\"FormattedValues\":[");
    dv_row_labels(image, changed_only, out);
    sim_text_printf(out,
                    "],\"Id\":\"%s\",\"KeyAttributes\":[],\"LogicalName\":\"%s\","
                    "\"RelatedEntities\":[],\"RowVersion\":null}",
                    context->id, image->schema->name);
}

static void add_target(const struct context *context)
{
    const struct dv_news *news = &context->post->news;
    sim_text_puts(context->out, "{\"key\":\"Target\",\"value\":");
    if (news->op == DV_UPDATE || news->op == DV_CREATE || news->op == DV_RECREATE)
        add_entity(context, true, news->op == DV_UPDATE);
    else
        dv_row_reference(news->image.schema->name, context->id, true, context->out);
    sim_text_char(context->out, '}');
}

static void add_relationship(const struct context *context)
{
    const struct dv_news *news = &context->post->news;
    char guid[DV_GUID_SIZE];
    dv_guid_write(context->seed, news->related_schema, news->related, guid);
    sim_text_printf(context->out,
                    ",{\"key\":\"Relationship\",\"value\":{\"__type\":\"Relationship:" CONTRACTS
                    "\",\"PrimaryEntityRole\":null,\"SchemaName\":\"%s\"}},"
                    "{\"key\":\"RelatedEntities\",\"value\":[",
                    news->relation);
    dv_row_reference(news->related_schema->name, guid, true, context->out);
    sim_text_puts(context->out, "]}");
}

static void add_parameters(const struct context *context, bool stripped)
{
    const struct dv_news *news = &context->post->news;
    struct sim_text *out = context->out;
    if (!stripped) {
        sim_text_puts(out, ",\"InputParameters\":[");
        add_target(context);
        if (news->related_schema)
            add_relationship(context);
        sim_text_char(out, ']');
    }
    sim_text_puts(out, ",\"IsExecutingOffline\":false");
    sim_text_bool(out, "IsInTransaction", context->post->rolled_back);
    sim_text_puts(out, ",\"IsOfflinePlayback\":false,\"IsolationMode\":1");
    sim_text_member(out, "MessageName", dv_post_message(context->post));
    sim_text_number(out, "Mode", context->post->rolled_back ? 0 : 1);
}

/* The image with the primary name that asynchronous steps add. */
static void add_images(const struct context *context)
{
    const struct dv_news *news = &context->post->news;
    const struct dv_schema *schema = news->image.schema;
    struct sim_text *out = context->out;
    sim_text_puts(out, ",\"PostEntityImages\":[");
    bool has_image = news->op == DV_UPDATE || news->op == DV_CREATE || news->op == DV_RECREATE;
    if (has_image && !context->post->rolled_back) {
        struct dv_value value;
        const struct dv_column *title = dv_schema_field(
            schema, news->image.column_count, schema->title_column, strlen(schema->title_column));
        sim_text_puts(out, "{\"key\":\"AsynchronousStepPrimaryName\",\"value\":{\"Attributes\":[");
        if (title) {
            dv_value_make(&news->image, title, &value);
            sim_text_printf(out, "{\"key\":\"%s\",\"value\":", title->name);
            if (value.null)
                sim_text_puts(out, "null");
            else
                dv_text_slashed(out, value.text, value.len);
            sim_text_puts(out, "},");
        }
        sim_text_printf(out,
                        "{\"key\":\"%s\",\"value\":\"%s\"}],\"EntityState\":null,"
                        "\"FormattedValues\":[],\"Id\":\"%s\",\"KeyAttributes\":[],"
                        "\"LogicalName\":\"%s\",\"RelatedEntities\":[],\"RowVersion\":null}}",
                        schema->id_column, context->id, context->id, schema->name);
    }
    sim_text_puts(out, "],\"PreEntityImages\":[]");
}

/* The envelope of an F&O data event, which stands beside the context's own members. */
static void add_data_event(const struct context *context)
{
    const struct dv_post *post = context->post;
    struct sim_text *out = context->out;
    char iso[40];
    sim_clock_iso_ms(post->news.time_ms, iso, sizeof(iso));
    sim_text_member(out, "BusinessEventId", post->news.image.schema->name);
    sim_text_number(out, "ControlNumber", 5637611083 + (int64_t)post->serial);
    add_guid(out, "EventId", context->seed + post->serial * 11);
    sim_text_printf(out, ",\"EventTime\":\"\\/Date(%" PRId64 ")\\/\",\"EventTimeIso8601\":\"%s\"",
                    post->news.time_ms, iso);
    sim_text_puts(out, ",\"MajorVersion\":0,\"MinorVersion\":0");
}

static void add_context(const struct context *context, int stage, bool stripped)
{
    const struct dv_post *post = context->post;
    const struct dv_news *news = &post->news;
    struct sim_text *out = context->out;
    uint64_t base = sim_mix(context->seed ^ post->serial);
    uint64_t user = context->seed + 5;
    sim_text_char(out, '{');
    add_guid(out, "BusinessUnitId", context->seed + 1);
    add_guid(out, "CorrelationId", base);
    sim_text_number(out, "Depth", 1);
    add_guid(out, "InitiatingUserAzureActiveDirectoryObjectId", user + 1);
    add_guid(out, "InitiatingUserId", user);
    add_parameters(context, stripped);
    sim_text_printf(out, ",\"OperationCreatedOn\":\"\\/Date(%" PRId64 "+0000)\\/\"",
                    news->time_ms / 1000 * 1000);
    add_guid(out, "OperationId", base + 2);
    add_guid(out, "OrganizationId", context->seed + 2);
    sim_text_member(out, "OrganizationName", "contoso");
    sim_text_puts(out, ",\"OutputParameters\":[");
    if (news->op == DV_CREATE || news->op == DV_RECREATE)
        sim_text_printf(out, "{\"key\":\"id\",\"value\":\"%s\"}", context->id);
    sim_text_puts(out, "],\"OwningExtension\":");
    char step[DV_GUID_SIZE];
    dv_guid_of(context->seed + 9 + post->hook, step);
    dv_row_reference("sdkmessageprocessingstep", step, false, out);
    if (!stripped) {
        sim_text_name(out, "ParentContext");
        if (stage == 40)
            add_context(context, 30, false);
        else
            sim_text_puts(out, "null");
        add_images(context);
    }
    sim_text_member(out, "PrimaryEntityId", context->id);
    sim_text_member(out, "PrimaryEntityName", news->image.schema->name);
    add_guid(out, "RequestId", base + 3);
    sim_text_member(out, "SecondaryEntityName", "none");
    sim_text_puts(out, ",\"SharedVariables\":[{\"key\":\"IsAutoTransact\",\"value\":true}]");
    sim_text_number(out, "Stage", stage);
    add_guid(out, "UserAzureActiveDirectoryObjectId", user + 1);
    add_guid(out, "UserId", user);
    if (stage == 40 && news->image.schema->is_virtual)
        add_data_event(context);
    sim_text_char(out, '}');
}

void dv_post_write(const struct dv_post *post, uint64_t seed, struct sim_text *out)
{
    struct context context = {.post = post, .seed = seed, .out = out};
    dv_guid_write(seed, post->news.image.schema, post->news.image.index, context.id);
    add_context(&context, 40, post->oversize);
}
