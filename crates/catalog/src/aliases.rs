//! Names that shops, marketplaces and spreadsheets give their columns, in many languages, each in
//! [plain](super::columns::plain) form, the surest first.

/// The barcode.
pub(crate) const BARCODE: &[&str] = &[
    "ean", "ean13", "gtin", "gtin13", "gtin14", "ean8", "eancode", "codeean", "codiceean", "codigoean",
    "eannummer", "eannumber", "gtinean", "eangtin", "eanupc", "upcean", "upc", "upca", "upccode",
    // WooCommerce names the column in the shop's language.
    "gtinupceanorisbn", "gtinupceanoderisbn", "gtinupceanouisbn", "gtinupceanoisbn", "gtinupceanofisbn",
    "gtinupceanlubisbn", "globaluniqueid",
    "barcode", "variantbarcode", "productbarcode", "strichcode", "streepjescode", "codebarre", "codebarres",
    "codicebarre", "codiceabarre", "codigodebarras", "codigobarras", "kodkreskowy", "streckkod", "stregkode",
    "штрихкод", "jancode", "janコード", "isbn", "code",
];

/// The name of the product.
pub(crate) const TITLE: &[&str] = &[
    "productname", "producttitle", "title", "name", "itemname", "itemtitle", "produktname", "artikelname",
    "artikelbezeichnung", "produktbezeichnung", "produkttitel", "bezeichnung", "nomproduit", "nomduproduit",
    "nom", "designation", "libelle", "titre", "nomeprodotto", "nomedelprodotto", "nome", "denominazione",
    "titolo", "nombreproducto", "nombredelproducto", "nombre", "denominacion", "titulo", "productnaam", "naam",
    "nazwa", "nazwaproduktu", "nomedoproduto", "produktnamn", "namn", "produktnavn", "navn", "nazev",
    "название", "наименование", "商品名", "label", "product", "produkt", "produit", "prodotto", "producto",
];

/// The brand.
pub(crate) const BRAND: &[&str] = &[
    "brand", "brands", "brandname", "productbrand", "marke", "markenname", "marken", "marque", "marques", "marca",
    "marcas", "marche", "merk", "merken", "marka", "varumarke", "manufacturer", "hersteller", "fabricant",
    "fabbricante", "produttore", "fabricante", "producent", "бренд", "vendor",
];

/// Images. All columns that are there count, in this order.
pub(crate) const IMAGE: &[&str] = &[
    "imageurl", "imagelink", "imagesrc", "productimageurl", "image", "images", "imageurls", "mainimage",
    "mainimageurl", "baseimage", "picture", "pictures", "pictureurl", "photo", "photourl", "bild", "bilder",
    "bildurl", "bildlink", "urlimage", "lienimage", "imageproduit", "immagine", "immagini", "urlimmagine",
    "imagen", "imagenes", "urlimagen", "imagem", "imagens", "foto", "fotos", "afbeelding", "afbeeldingen",
    "obrazek", "obrazki", "zdjecie", "zdjecia", "billede", "billeder", "изображение", "изображения",
    "variantimage", "variantimageurl", "additionalimagelink", "additionalimages",
];

/// The shop's own id of a product.
pub(crate) const ID: &[&str] = &[
    "sku", "variantsku", "productsku", "articlenumber", "itemnumber", "itemno", "partnumber", "artikelnummer",
    "artikelnr", "artnr", "bestellnummer", "referenceproduit", "reference", "ugs", "codicearticolo",
    "codiceprodotto", "cod", "codigoarticulo", "referencia", "artikelcode", "artikul", "артикул", "varenummer",
    "productcode", "identifier", "clientproductid", "productid", "itemid", "id", "handle", "urlhandle", "uuid",
];

/// A text about the product.
pub(crate) const DESCRIPTION: &[&str] = &[
    "description", "bodyhtml", "productdescription", "longdescription", "beschreibung", "produktbeschreibung",
    "descriptionproduit", "descrizione", "descripcion", "descricao", "beschrijving", "omschrijving", "opis",
    "beskrivning", "beskrivelse", "popis", "описание", "shortdescription", "kurzbeschreibung",
];

/// Where in the shop the product stands.
pub(crate) const CATEGORY: &[&str] = &[
    "category", "categories", "productcategory", "producttype", "googleproductcategory", "kategorie",
    "kategorien", "categorie", "categoria", "categorias", "kategoria", "kategori", "категория", "type",
];

/// The column that makes several rows one product, in Shopify's files.
pub(crate) const HANDLE: &[&str] = &["handle", "urlhandle"];

/// WooCommerce's `Type`, in the shop's language.
pub(crate) const WOO_TYPE: &[&str] = &["type", "typ", "tipo", "typprodukt", "тип"];

/// WooCommerce's `Parent`.
pub(crate) const WOO_PARENT: &[&str] = &[
    "parent", "ubergeordnetesprodukt", "eltern", "superieur", "genitore", "superior", "principal", "hoofd",
    "bovenliggend", "nadrzedny", "foralder", "родитель",
];

/// WooCommerce's `Images`.
pub(crate) const WOO_IMAGES: &[&str] = &[
    "images", "bilder", "immagini", "imagenes", "imagens", "afbeeldingen", "obrazki", "billeder", "изображения",
];

/// WooCommerce's own number of a product.
pub(crate) const WOO_ID: &[&str] = &["id"];
