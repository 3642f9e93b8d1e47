/* The entities that the simulator knows. Column names are those of the real entities where they
 * have such a column; ChangeNumber is the simulator's own: it counts the revisions of a record. */
#include "sim/entity.h"

#include <strings.h>

static const char *const currencies[] = {"NOK", "EUR", "USD", "SEK", "DKK", "GBP", "JPY", NULL};
static const char *const countries[] = {"NOR", "SWE", "DNK", "DEU", "JPN", "USA", "GBR", NULL};
static const char *const cities[] = {"Oslo",    "Bergen",  "Tromsø",    "Bodø",
                                     "Ålesund", "Malmö",   "København", "東京",
                                     "Hamburg", "Seattle", "Århus",     NULL};
static const char *const vendor_groups[] = {"10", "20", "30", "40", "MATERIALS", "SERVICES", NULL};
static const char *const customer_groups[] = {"80", "90", "RETAIL", "MAJOR", "INTERNET", NULL};
static const char *const payment_terms[] = {"Net10", "Net15", "Net30", "Net45", "COD", NULL};
static const char *const hold_states[] = {"No", "Invoice", "All", "Payment", "Never", NULL};
static const char *const languages[] = {"nb-NO", "en-US", "sv-SE", "ja", "de", "da", NULL};
static const char *const product_types[] = {"Item", "Service", NULL};
static const char *const units[] = {"ea", "pcs", "kg", "m", "m²", "l", "box", NULL};
static const char *const colors[] = {"Red", "Blå", "Grønn", "黒", "White", "Sand", NULL};
static const char *const warehouses[] = {"11", "12", "13", "21", "24", "61", "DC-WEST", NULL};
static const char *const states[] = {"Open", "Approved", "Delivered", "Invoiced", "Canceled", NULL};
static const char *const models[] = {"STD", "FIFO", "LIFO", "WAVG", "FIFO_LP", NULL};

static const struct sim_column vendor_columns[] = {
    {"dataAreaId",                 CELL_COMPANY,  0,  true,  0,  NULL         },
    {"VendorAccountNumber",        CELL_KEY,      0,  true,  0,  NULL         },
    {"VendorOrganizationName",     CELL_BUSINESS, 0,  true,  0,  NULL         },
    {"VendorSearchName",           CELL_BUSINESS, 20, true,  0,  NULL         },
    {"VendorGroupId",              CELL_WORD,     0,  true,  0,  vendor_groups},
    {"CurrencyCode",               CELL_WORD,     0,  true,  0,  currencies   },
    {"CreditLimit",                CELL_AMOUNT,   10, false, 2,  NULL         },
    {"DefaultPaymentTermsName",    CELL_WORD,     15, false, 0,  payment_terms},
    {"OnHoldStatus",               CELL_WORD,     0,  false, 0,  hold_states  },
    {"FormattedPrimaryAddress",    CELL_STREET,   5,  true,  0,  NULL         },
    {"AddressCity",                CELL_WORD,     5,  true,  0,  cities       },
    {"AddressCountryRegionId",     CELL_WORD,     0,  true,  0,  countries    },
    {"PrimaryEmailAddress",        CELL_EMAIL,    25, true,  0,  NULL         },
    {"PrimaryPhoneNumber",         CELL_PHONE,    30, true,  0,  NULL         },
    {"LanguageId",                 CELL_WORD,     0,  true,  0,  languages    },
    {"IsOneTimeVendor",            CELL_BOOL,     0,  true,  0,  NULL         },
    {"IsWithholdingTaxCalculated", CELL_BOOL,     5,  false, 0,  NULL         },
    {"NumberOfEmployees",          CELL_INT,      20, false, 6,  NULL         },
    {"BalanceAmount",              CELL_AMOUNT,   0,  false, 2,  NULL         },
    {"VendorHoldReleaseDate",      CELL_DATE,     10, false, 0,  NULL         },
    {"ModifiedDateTime",           CELL_DATETIME, 0,  false, 0,  NULL         },
    {"Notes",                      CELL_NOTE,     30, false, 60, NULL         },
    {"ChangeNumber",               CELL_REVISION, 0,  false, 0,  NULL         },
};

static const struct sim_column customer_columns[] = {
    {"dataAreaId",                 CELL_COMPANY,  0,  true,  0,  NULL           },
    {"CustomerAccount",            CELL_KEY,      0,  true,  0,  NULL           },
    {"OrganizationName",           CELL_BUSINESS, 0,  true,  0,  NULL           },
    {"NameAlias",                  CELL_BUSINESS, 30, true,  0,  NULL           },
    {"CustomerGroupId",            CELL_WORD,     0,  true,  0,  customer_groups},
    {"SalesCurrencyCode",          CELL_WORD,     0,  true,  0,  currencies     },
    {"CreditLimit",                CELL_AMOUNT,   10, false, 2,  NULL           },
    {"PaymentTerms",               CELL_WORD,     10, false, 0,  payment_terms  },
    {"DiscountPercentage",         CELL_AMOUNT,   20, false, 6,  NULL           },
    {"DeliveryAddressDescription", CELL_STREET,   5,  true,  0,  NULL           },
    {"AddressCity",                CELL_WORD,     5,  true,  0,  cities         },
    {"AddressCountryRegionId",     CELL_WORD,     0,  true,  0,  countries      },
    {"PrimaryContactEmail",        CELL_EMAIL,    20, true,  0,  NULL           },
    {"PrimaryContactPhone",        CELL_PHONE,    20, true,  0,  NULL           },
    {"LanguageId",                 CELL_WORD,     0,  true,  0,  languages      },
    {"OnHoldStatus",               CELL_WORD,     0,  false, 0,  hold_states    },
    {"IsSalesTaxIncludedInPrices", CELL_BOOL,     0,  true,  0,  NULL           },
    {"IsOneTimeCustomer",          CELL_BOOL,     5,  true,  0,  NULL           },
    {"OpenOrderCount",             CELL_INT,      10, false, 5,  NULL           },
    {"Latitude",                   CELL_DOUBLE,   40, true,  0,  NULL           },
    {"CustomerSinceDate",          CELL_DATE,     10, true,  0,  NULL           },
    {"ModifiedDateTime",           CELL_DATETIME, 0,  false, 0,  NULL           },
    {"SalesMemo",                  CELL_NOTE,     40, false, 80, NULL           },
    {"ChangeNumber",               CELL_REVISION, 0,  false, 0,  NULL           },
};

static const struct sim_column product_columns[] = {
    {"dataAreaId",                    CELL_COMPANY,  0,  true,  0,   NULL         },
    {"ItemNumber",                    CELL_KEY,      0,  true,  0,   NULL         },
    {"ProductName",                   CELL_BUSINESS, 0,  true,  0,   NULL         },
    {"SearchName",                    CELL_BUSINESS, 10, true,  0,   NULL         },
    {"ProductType",                   CELL_WORD,     0,  true,  0,   product_types},
    {"ProductColorId",                CELL_WORD,     60, true,  0,   colors       },
    {"InventoryUnitSymbol",           CELL_WORD,     0,  true,  0,   units        },
    {"ItemModelGroupId",              CELL_WORD,     0,  true,  0,   models       },
    {"SalesPrice",                    CELL_AMOUNT,   5,  false, 2,   NULL         },
    {"PurchasePrice",                 CELL_AMOUNT,   15, false, 6,   NULL         },
    {"NetProductWeight",              CELL_AMOUNT,   30, true,  6,   NULL         },
    {"GrossDepth",                    CELL_DOUBLE,   30, true,  0,   NULL         },
    {"BestBeforePeriodDays",          CELL_INT,      50, true,  4,   NULL         },
    {"AvailableQuantity",             CELL_INT,      0,  false, 9,   NULL         },
    {"IsPhantom",                     CELL_BOOL,     0,  true,  0,   NULL         },
    {"IsSalesPriceAdjustmentAllowed", CELL_BOOL,     5,  false, 0,   NULL         },
    {"DefaultOrderWarehouseId",       CELL_WORD,     30, false, 0,   warehouses   },
    {"ProductExternalId",             CELL_GUID,     50, true,  0,   NULL         },
    {"PriceDate",                     CELL_DATE,     10, false, 0,   NULL         },
    {"ModifiedDateTime",              CELL_DATETIME, 0,  false, 0,   NULL         },
    {"ProductDescription",            CELL_NOTE,     10, false, 120, NULL         },
    {"ChangeNumber",                  CELL_REVISION, 0,  false, 0,   NULL         },
};

/* 30 columns and about 700 bytes a row: the benchmark's entity. */
static const struct sim_column bench_columns[] = {
    {"dataAreaId",                 CELL_COMPANY,  0,  true,  0,   NULL           },
    {"RowKey",                     CELL_KEY,      0,  true,  0,   NULL           },
    {"ChangeNumber",               CELL_REVISION, 0,  false, 0,   NULL           },
    {"OrganizationName",           CELL_BUSINESS, 0,  true,  0,   NULL           },
    {"SearchName",                 CELL_BUSINESS, 0,  true,  0,   NULL           },
    {"GroupId",                    CELL_WORD,     0,  true,  0,   customer_groups},
    {"CurrencyCode",               CELL_WORD,     0,  true,  0,   currencies     },
    {"StatusCode",                 CELL_WORD,     0,  false, 0,   states         },
    {"Address",                    CELL_STREET,   0,  true,  0,   NULL           },
    {"City",                       CELL_WORD,     0,  true,  0,   cities         },
    {"Email",                      CELL_EMAIL,    5,  true,  0,   NULL           },
    {"Phone",                      CELL_PHONE,    5,  true,  0,   NULL           },
    {"CorrelationId",              CELL_GUID,     0,  false, 0,   NULL           },
    {"ParentId",                   CELL_GUID,     10, true,  0,   NULL           },
    {"Amount",                     CELL_AMOUNT,   0,  false, 2,   NULL           },
    {"AmountInAccountingCurrency", CELL_AMOUNT,   0,  false, 2,   NULL           },
    {"ExchangeRate",               CELL_AMOUNT,   0,  false, 6,   NULL           },
    {"DiscountAmount",             CELL_AMOUNT,   40, false, 2,   NULL           },
    {"Quantity",                   CELL_INT,      0,  false, 6,   NULL           },
    {"LineCount",                  CELL_INT,      10, false, 3,   NULL           },
    {"SequenceNumber",             CELL_INT,      0,  true,  12,  NULL           },
    {"Weight",                     CELL_DOUBLE,   10, true,  0,   NULL           },
    {"IsApproved",                 CELL_BOOL,     0,  false, 0,   NULL           },
    {"IsBlocked",                  CELL_BOOL,     5,  false, 0,   NULL           },
    {"PostingDate",                CELL_DATE,     0,  false, 0,   NULL           },
    {"CreatedDateTime",            CELL_DATETIME, 0,  true,  0,   NULL           },
    {"ModifiedDateTime",           CELL_DATETIME, 0,  false, 0,   NULL           },
    {"Comment",                    CELL_NOTE,     10, false, 60,  NULL           },
    {"Description",                CELL_NOTE,     0,  false, 110, NULL           },
    {"LongText",                   CELL_NOTE,     0,  true,  160, NULL           },
};

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

const struct sim_entity sim_entities[] = {
    {"Vendors V3",           "VendVendorV3Entity",            "V", COLUMNS(vendor_columns)  },
    {"Customers V3",         "CustCustomerV3Entity",          "C", COLUMNS(customer_columns)},
    {"Released products V2", "EcoResReleasedProductV2Entity", "P", COLUMNS(product_columns) },
    {"Bench rows",           "SimBenchRowEntity",             "B", COLUMNS(bench_columns)   },
};
const size_t sim_entity_count = sizeof(sim_entities) / sizeof(sim_entities[0]);

_Static_assert(sizeof(bench_columns) / sizeof(bench_columns[0]) == 30,
               "the benchmark's 30 columns");

const struct sim_entity *sim_entity_find(const char *label)
{
    for (size_t i = 0; i < sim_entity_count; i++)
        if (strcasecmp(sim_entities[i].label, label) == 0)
            return &sim_entities[i];
    return NULL;
}

bool sim_cell_is_typed(enum sim_cell cell)
{
    switch (cell) {
    case CELL_REVISION:
    case CELL_AMOUNT:
    case CELL_INT:
    case CELL_DOUBLE:
    case CELL_BOOL:
    case CELL_DATE:
    case CELL_DATETIME:
        return true;
    default:
        return false;
    }
}
