"""Words that the rules for prompts do not know, in English that they do: small tables of six languages, and a team's own.

In: a post, its language, and `posts/words.csv` with lines such as `Apfelschorle,juice`. Out: the post with those words in English. Only
what the rules look up comes of it, so nothing that stands in a post or in the table reaches a prompt. German and Dutch write nouns as
one, so some also count as the ending of a word: an Apfelkuchen is a Kuchen. The tables were collected by hand, and are no dictionary.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from decal.errors import DataError
from decal.posts import scenes
from decal.posts.cleaning import SMALL_WORDS
from decal.posts.scenes import stem, words_of
from decal.records import Post

MAX_UNKNOWN = 200
# A word that stands in so many times fewer posts that are understood is not what they are about.
OFTEN = 4
# Words that name whatever ends with them, by language. Few do: Studenten are no Enten, and Hamburg is no Burg. German ones count in any
# post that is not English, whose language is a guess; Dutch ones are too short for that.
_ENDINGS = {
    "de": frozenset(
        "kuchen torte torten brot brote saft bier wein kaffee suppe salat käse schokolade kekse brötchen nudeln hund hunde "
        "katze katzen vogel fisch fische baum blume blumen auto autos schuhe tasche taschen kleid kleider hemd brille buch "
        "bücher kamera konzert musik spielzeug geschenk geschenke gutschein gutscheine ballon kerze kerzen zelt boot fahrrad "
        "flugzeug koffer möbel sofa sessel stiefel strand schnee".split()
    ),
    "nl": frozenset(
        "taart taarten thee koffie soep kaas brood broodje broodjes koek koekjes sap wijn bier schoenen laarzen tas tassen jurk "
        "jurken hond honden vogel vogels bloem bloemen boom bomen fiets fietsen boek boeken winkel winkels muziek speelgoed "
        "cadeau cadeaus kaars kaarsen koffer koffers strand sneeuw concert".split()
    ),
}
_TABLES: Mapping[str, str] = {
    "de": """
the: der die das den dem des
a: ein eine einen einem einer eines kein keine
our: unser unsere unserem unseren unserer euer eure dein deine mein meine
new: neu neue neuer neues neuen frisch frische frischer frisches
coffee: kaffee milchkaffee espresso café
tea: tee
juice: saft schorle limonade
beer: bier
wine: wein sekt
sandwich: brötchen semmel stulle
burger: hamburger
fries: pommes
pasta: nudeln nudel spätzle
salad: salat
soup: suppe eintopf
egg: ei eier
pancake: pfannkuchen waffel waffeln
doughnut: krapfen berliner
croissant: hörnchen croissant zimtschnecke zimtschnecken
bread: brot brote bäckerei
cheese: käse
cake: kuchen torte torten
cupcake: muffin törtchen
cookie: keks kekse plätzchen
chocolate: schokolade schoko praline pralinen
ice cream: eis eisbecher eiscreme eisdiele
candy: bonbon bonbons süßigkeiten
apple: apfel äpfel
pear: birne birnen
peach: pfirsich pfirsiche
lemon: zitrone zitronen
oranges: orange orangen apfelsine
strawberry: erdbeere erdbeeren
cherry: kirsche kirschen
banana: banane bananen
pineapple: ananas
watermelon: melone wassermelone
grape: traube trauben
tomato: tomate tomaten
carrot: karotte karotten möhre möhren
corn: mais
mushroom: pilz pilze
honey: honig
cat: katze katzen kater kätzchen
dog: hund hunde welpe welpen
rabbit: hase hasen kaninchen
mice: maus mäuse
fox: fuchs füchse
bear: bär bären
tiger: tiger
lion: löwe löwen
elephant: elefant elefanten
monkey: affe affen
horse: pferd pferde pony
cow: kuh kühe
pig: schwein schweine ferkel
sheep: schaf schafe lamm
hen: huhn hühner hahn
duck: ente enten
penguin: pinguin pinguine
owl: eule eulen
bird: vogel vögel
frog: frosch frösche
turtle: schildkröte schildkröten
fish: fisch fische lachs forelle
whale: wal wale
butterfly: schmetterling schmetterlinge
bee: biene bienen
hedgehog: igel
pet: haustier haustiere tierheim
sunflower: sonnenblume sonnenblumen
rose: rose rosen
tulip: tulpe tulpen
flower: blume blumen blüte blüten blumenstrauß
cactus: kaktus kakteen
evergreen: wald tanne tannen
christmas: weihnachten weihnachtsbaum advent
tree: baum bäume
autumn: herbst
pumpkin: kürbis kürbisse
car: auto autos wagen
bike: fahrrad fahrräder rad lastenrad
motorcycle: motorrad motorräder
bus: bus
train: zug züge bahn
airplane: flugzeug flug flughafen
boat: boot schiff segeln
rocket: rakete
firefighter: feuerwehr
phone: handy smartphone telefon
laptop: rechner notebook
tv: fernseher bildschirm
headphones: kopfhörer
camera: kamera fotografie
gaming: spielkonsole videospiel
robot: roboter
light bulb: glühbirne lampe
alarm clock: wecker
wristwatch: armbanduhr
key: schlüssel
gift: geschenk geschenke gutschein gutscheine verlosung gewinnspiel
balloon: ballon luftballon luftballons
crown: krone
trophy: pokal meister
candle: kerze kerzen
book: buch bücher roman lesung
bookshop: buchhandlung bibliothek bücherei
letter: brief briefe
guitar: gitarre konzert
music: musik lied lieder
toy: spielzeug teddybär
football: fußball
shoe: schuh schuhe stiefel turnschuhe
shirt: hemd t-shirt trikot
dress: kleid kleider
handbag: handtasche tasche taschen rucksack
sunglasses: sonnenbrille
glasses: brille brillen
hat: hut hüte mütze
necklace: schmuck kette
umbrella: regenschirm
lipstick: lippenstift
perfume: parfüm duft
suitcase: koffer
tent: zelt
diy: werkzeug
house: haus wohnung immobilie
castle: schloss burg
sofa: sofa möbel sessel
soap: seife
heart: herz herzen
ghost: gespenst
rainbow: regenbogen
stars: stern sterne
sun: sonne sonnig sonnige sonnigen
moon: mond
cloud: wolke wolken
rain: regen
snow: schnee schneit
mountain: berg berge alpen wandern
earth: erde
beach: strand meer ostsee nordsee
kitchen: küche kochen rezept backen
garden: garten grillen
city: stadt
work: arbeit büro montag
shop: laden geschäft online-shop
school: schule lernen studium
travel: reise reisen urlaub ferien
bank: geld sparen kredit steuer
job: job jobs stelle stellen karriere bewerbung bewirb
sustainable: nachhaltig nachhaltigkeit klima umwelt
health: gesundheit pflege danke
winter: winter
summer: sommer
spring: frühling ostern
weekend: wochenende samstag sonntag
morning: frühstück
evening: abend feierabend
sale: rabatt angebot angebote reduziert sale
free: gratis kostenlos
win: gewinnt gewinn gewinnen
birthday: geburtstag jubiläum
congratulations: glückwunsch gratulieren
party: party feier feiern feiert fest
happy: glücklich fröhlich freuen freude lecker leckere leckerer
love: liebe lieben
thank: danke dankeschön
sad: traurig leider abschied
tired: müde
angry: wütend
team: mannschaft spieler
stadium: stadion
""",
    "fr": """
the: le la les l
a: un une
our: notre nos votre vos mon ma mes
new: nouveau nouvelle nouveaux nouvelles frais fraîche
coffee: café
tea: thé
juice: jus limonade
beer: bière
wine: vin vins
bread: pain boulangerie baguette
cheese: fromage fromages
cake: gâteau gâteaux tarte
cookie: biscuit sablé
chocolate: chocolat chocolats
ice cream: glace glaces
candy: bonbon bonbons
apple: pomme pommes
pear: poire poires
peach: pêche pêches
lemon: citron citrons
strawberry: fraise fraises
cherry: cerise cerises
banana: banane bananes
pineapple: ananas
grape: raisin raisins
tomato: tomate tomates
carrot: carotte carottes
mushroom: champignon champignons
honey: miel
egg: œuf œufs oeuf oeufs
salad: salade
soup: soupe
pancake: crêpe crêpes gaufre gaufres
fries: frites
cat: chat chats chaton
dog: chien chiens chiot
rabbit: lapin lapins
bear: ours
horse: cheval chevaux
cow: vache vaches
bird: oiseau oiseaux
fish: poisson poissons saumon
butterfly: papillon papillons
bee: abeille abeilles
flower: fleur fleurs bouquet
rose: rose roses
tulip: tulipe tulipes
tree: arbre arbres
christmas: noël
autumn: automne
pumpkin: citrouille
car: voiture voitures
bike: vélo vélos
train: train trains
airplane: avion vol
boat: bateau bateaux
phone: téléphone portable
laptop: ordinateur
camera: caméra photographie
key: clé clés clef
gift: cadeau cadeaux
balloon: ballon ballons
candle: bougie bougies
book: livre livres roman
music: musique chanson
football: foot football
shoe: chaussure chaussures baskets
shirt: chemise
dress: robe robes
handbag: sac sacs
sunglasses: lunettes
hat: chapeau
necklace: bijou bijoux collier
umbrella: parapluie
perfume: parfum parfums
suitcase: valise
house: maison appartement
heart: cœur cœurs coeur
rainbow: arc-en-ciel
stars: étoile étoiles
sun: soleil
moon: lune
rain: pluie
snow: neige
mountain: montagne montagnes
beach: plage mer
kitchen: cuisine recette
garden: jardin
city: ville
shop: boutique magasin
school: école
travel: voyage voyages vacances
job: emploi emplois recrutement
winter: hiver
spring: printemps
weekend: week-end samedi dimanche
morning: matin
evening: soir soirée
sale: soldes promo promotion remise
free: gratuit gratuite
win: gagner gagnez concours
birthday: anniversaire
party: fête
happy: heureux heureuse joyeux délicieux
love: amour aimons
thank: merci
sad: triste
""",
    "es": """
the: el la los las
a: un una unos unas
our: nuestro nuestra nuestros nuestras tu tus mi mis
new: nuevo nueva nuevos nuevas
coffee: café
tea: té
juice: zumo jugo limonada
beer: cerveza cervezas
wine: vino vinos
bread: pan panadería
cheese: queso quesos
cake: pastel tarta torta
cookie: galleta galletas
chocolate: chocolate chocolates
ice cream: helado helados
candy: caramelo caramelos
apple: manzana manzanas
pear: pera peras
peach: melocotón
lemon: limón limones
strawberry: fresa fresas
cherry: cereza cerezas
banana: plátano plátanos
pineapple: piña
watermelon: sandía
grape: uva uvas
tomato: tomate tomates
carrot: zanahoria
mushroom: seta setas champiñón
honey: miel
egg: huevo huevos
salad: ensalada
soup: sopa
burger: hamburguesa
fries: patatas papas
cat: gato gatos gatito
dog: perro perros cachorro
rabbit: conejo
bear: oso osos
horse: caballo caballos
cow: vaca vacas
bird: pájaro pájaros
fish: pescado pez salmón
butterfly: mariposa mariposas
bee: abeja abejas
flower: flor flores ramo
rose: rosa rosas
sunflower: girasol
tree: árbol árboles
christmas: navidad
autumn: otoño
pumpkin: calabaza
car: coche coches carro
bike: bicicleta bici
train: tren
airplane: avión vuelo vuelos
boat: barco
phone: móvil teléfono celular
laptop: ordenador computadora portátil
camera: cámara
key: llave llaves
gift: regalo regalos sorteo
balloon: globo globos
candle: vela velas
book: libro libros novela
music: música canción
guitar: guitarra concierto
football: fútbol
shoe: zapato zapatos zapatillas
shirt: camisa camiseta
dress: vestido vestidos
handbag: bolso bolsos
sunglasses: gafas
hat: sombrero
umbrella: paraguas
perfume: perfume
suitcase: maleta
house: casa piso
heart: corazón corazones
stars: estrella estrellas
sun: sol
moon: luna
rain: lluvia
snow: nieve
mountain: montaña montañas
beach: playa mar
kitchen: cocina receta
garden: jardín
city: ciudad
shop: tienda tiendas
school: escuela
travel: viaje viajes vacaciones
job: empleo trabajo
winter: invierno
summer: verano
spring: primavera
weekend: sábado domingo
morning: desayuno
evening: noche
sale: rebajas descuento descuentos oferta ofertas
free: gratis
win: gana ganar
birthday: cumpleaños
party: fiesta
happy: feliz felices delicioso
love: amor
thank: gracias
sad: triste
""",
    "it": """
the: il lo gli le
a: uno una
our: nostro nostra nostri nostre vostro vostra tuo tua mio mia
new: nuovo nuova nuovi nuove fresco fresca
coffee: caffè espresso cappuccino
tea: tè
juice: succo succhi spremuta limonata
beer: birra birre
wine: vino vini prosecco
sandwich: panino panini tramezzino
burger: hamburger
fries: patatine
pasta: spaghetti lasagne
salad: insalata insalate
soup: zuppa minestra
egg: uovo uova
pancake: frittella frittelle
doughnut: ciambella ciambelle bombolone
croissant: cornetto cornetti
bread: pane panetteria panificio
cheese: formaggio formaggi
cake: torta torte crostata
cookie: biscotto biscotti
chocolate: cioccolato cioccolata cioccolatini
ice cream: gelato gelati gelateria
candy: caramella caramelle
apple: mela mele
pear: pere
peach: pesche
lemon: limone limoni
oranges: arancia arance
strawberry: fragola fragole
cherry: ciliegia ciliegie
banana: banane
pineapple: ananas
watermelon: anguria cocomero
grape: uva
tomato: pomodoro pomodori
carrot: carota carote
corn: mais
mushroom: fungo funghi
honey: miele
cat: gatto gatti gattino gattini
dog: cane cani cagnolino cucciolo cuccioli
rabbit: coniglio conigli
fox: volpe volpi
bear: orso orsi
lion: leone leoni
horse: cavallo cavalli
cow: mucca mucche
pig: maiale maialino
sheep: pecora pecore
hen: gallina galline
duck: anatra anatre
owl: gufo civetta
bird: uccello uccelli
frog: rana rane
turtle: tartaruga tartarughe
fish: pesce pesci salmone
whale: balena balene
butterfly: farfalla farfalle
bee: ape api
sunflower: girasole girasoli
flower: fiore fiori mazzo
rose: rosa
tulip: tulipano tulipani
tree: albero alberi
christmas: natale natalizio natalizia
autumn: autunno
pumpkin: zucca zucche
car: macchina macchine automobile
bike: bicicletta biciclette bici
motorcycle: motocicletta motociclette
train: treno treni
airplane: aereo aerei volo voli
boat: barca barche
rocket: razzo
phone: telefono cellulare telefonino
laptop: portatile
headphones: cuffie
camera: fotocamera fotografia
robot: robot
alarm clock: sveglia
wristwatch: orologio orologi
key: chiave chiavi
gift: regalo regali
balloon: palloncino palloncini
crown: corona
candle: candela candele
book: libro libri romanzo
bookshop: libreria biblioteca
letter: lettera lettere
guitar: chitarra chitarre concerto
music: musica canzone canzoni
football: calcio
shoe: scarpa scarpe stivali
shirt: camicia camicie maglietta
dress: vestito vestiti abito abiti
handbag: borsa borse borsetta
glasses: occhiali
hat: cappello cappelli
necklace: collana collane gioielli
umbrella: ombrello ombrelli
lipstick: rossetto
perfume: profumo profumi
suitcase: valigia valigie
tent: tenda
house: appartamento
castle: castello castelli
sofa: divano divani
soap: sapone saponi
heart: cuore cuori
ghost: fantasma fantasmi
rainbow: arcobaleno
stars: stella stelle
sun: sole
cloud: nuvola nuvole
rain: pioggia
snow: neve
mountain: montagna montagne
beach: spiaggia spiagge mare
kitchen: cucina ricetta ricette
garden: giardino giardini
city: città
shop: negozio negozi
school: scuola scuole
travel: viaggio viaggi vacanza vacanze
job: lavoro assumiamo
winter: inverno
summer: estate
spring: primavera
weekend: sabato domenica
morning: mattina mattino colazione
evening: sera serata aperitivo
sale: saldi sconto sconti offerta offerte
free: gratuito gratuita omaggio
win: vinci vincere concorso
birthday: compleanno
party: festa feste
happy: felice felici delizioso deliziosa
love: amore amiamo
thank: grazie
sad: triste
""",
    "pt": """
the: os as
a: um uma
our: nosso nossa nossos nossas teu tua seu sua meu minha
new: novo nova novos novas
coffee: café cafezinho
tea: chá
juice: suco sumo limonada
beer: cerveja cervejas
wine: vinho vinhos
sandwich: sanduíche sanduíches
burger: hambúrguer hambúrgueres
fries: fritas
pasta: macarrão massa
salad: salada saladas
soup: sopa sopas
egg: ovo ovos
pancake: panqueca panquecas
doughnut: rosquinha rosquinhas
bread: pão pães padaria
cheese: queijo queijos
cake: bolo bolos torta
cookie: biscoito biscoitos bolacha bolachas
chocolate: chocolate chocolates
ice cream: sorvete sorvetes gelado gelados
candy: bala balas rebuçado rebuçados
apple: maçã maçãs
pear: pera peras
peach: pêssego pêssegos
lemon: limão limões
oranges: laranja laranjas
strawberry: morango morangos
cherry: cereja cerejas
banana: banana bananas
pineapple: abacaxi ananás
watermelon: melancia melancias
grape: uva uvas
tomato: tomate tomates
carrot: cenoura cenouras
corn: milho
mushroom: cogumelo cogumelos
honey: mel
cat: gato gatos gatinho gatinhos
dog: cão cães cachorro cachorros cachorrinho
rabbit: coelho coelhos
fox: raposa raposas
bear: urso ursos
lion: leão leões
horse: cavalo cavalos
cow: vaca vacas
pig: porco porquinho
sheep: ovelha ovelhas
hen: galinha galinhas
duck: pato patos
owl: coruja corujas
bird: pássaro pássaros
frog: sapo sapos
turtle: tartaruga tartarugas
fish: peixe peixes salmão
whale: baleia baleias
butterfly: borboleta borboletas
bee: abelha abelhas
sunflower: girassol girassóis
flower: flor flores buquê
rose: rosas
tulip: tulipa tulipas
tree: árvore árvores
christmas: natal
autumn: outono
pumpkin: abóbora abóboras
car: carro carros automóvel
bike: bicicleta bicicletas
motorcycle: motocicleta
bus: ônibus autocarro
train: trem trens comboio
airplane: avião aviões voo voos
boat: barco barcos
rocket: foguete
phone: celular telemóvel telefone
laptop: computador portátil
headphones: auscultadores
camera: câmera câmara fotografia
robot: robô
alarm clock: despertador
wristwatch: relógio relógios
key: chave chaves
gift: presente presentes sorteio
balloon: balão balões
crown: coroa
candle: vela velas
book: livro livros romance
bookshop: livraria biblioteca
letter: carta cartas
guitar: violão guitarra concerto
music: música músicas canção
football: futebol
shoe: sapato sapatos tênis ténis botas
shirt: camisa camiseta camisola
dress: vestido vestidos
handbag: bolsa bolsas mochila
glasses: óculos
hat: chapéu chapéus
necklace: colar colares joias
umbrella: guarda-chuva
lipstick: batom
perfume: perfume perfumes
suitcase: mala malas
tent: barraca
house: apartamento casas
castle: castelo castelos
sofa: sofá sofás
soap: sabonete sabonetes sabão
heart: coração corações
ghost: fantasma fantasmas
rainbow: arco-íris
stars: estrela estrelas
moon: lua
cloud: nuvem nuvens
rain: chuva
snow: neve
mountain: montanha montanhas
beach: praia praias mar
kitchen: cozinha receita receitas
garden: jardim jardins
city: cidade cidades
shop: loja lojas
school: escola escolas
travel: viagem viagens férias
job: emprego empregos vaga vagas
winter: inverno
summer: verão
spring: primavera
weekend: fim-de-semana sábado domingo
morning: manhã
evening: noite
sale: desconto descontos promoção promoções oferta ofertas saldos
free: grátis
win: ganhe ganhar
birthday: aniversário
party: festa festas
happy: feliz felizes delicioso deliciosa
love: amor amamos
thank: obrigado obrigada
sad: triste
""",
    "nl": """
the: de het
a: een
our: onze jullie jouw uw mijn
new: nieuw nieuwe verse
coffee: koffie
tea: thee
juice: sap limonade sinaasappelsap
beer: bier biertje biertjes
wine: wijn wijnen
sandwich: boterham boterhammen
burger: hamburger
fries: friet frietjes patat
salad: salade salades
soup: soep soepen
egg: ei eieren
pancake: pannenkoek pannenkoeken wafel wafels stroopwafel
doughnut: oliebol oliebollen
bread: brood broden broodje broodjes bakkerij
cheese: kaas kazen
cake: taart taarten taartje gebak
cookie: koekje koekjes koek
chocolate: chocolade
ice cream: ijs ijsje ijsjes
candy: snoep snoepjes
apple: appel appels
pear: peer peren
peach: perzik perziken
lemon: citroen citroenen
oranges: sinaasappel sinaasappels
strawberry: aardbei aardbeien
cherry: kers kersen
banana: banaan bananen
watermelon: watermeloen
grape: druif druiven
tomato: tomaat tomaten
carrot: wortel wortels
mushroom: paddenstoel paddenstoelen champignons
honey: honing
cat: kat katten poes kitten
dog: hond honden hondje puppy
rabbit: konijn konijnen
mice: muis muizen
fox: vos vossen
bear: beer beren
lion: leeuw leeuwen
elephant: olifant olifanten
monkey: aap apen
horse: paard paarden
cow: koe koeien
pig: varken varkens
sheep: schaap schapen
hen: kip kippen
duck: eend eenden
penguin: pinguïn pinguïns
owl: uil uilen
bird: vogel vogels
frog: kikker kikkers
turtle: schildpad schildpadden
fish: vis vissen zalm
whale: walvis walvissen
butterfly: vlinder vlinders
bee: bij bijen
hedgehog: egel egels
sunflower: zonnebloem zonnebloemen
flower: bloem bloemen boeket
rose: roos rozen
tulip: tulp tulpen
tree: boom bomen
christmas: kerst kerstmis kerstboom sinterklaas
autumn: herfst
pumpkin: pompoen pompoenen
car: auto auto's
bike: fiets fietsen bakfiets
motorcycle: motorfiets
train: trein treinen
airplane: vliegtuig vliegtuigen vlucht vluchten
boat: schip schepen zeilboot
rocket: raket
phone: telefoon mobiel
laptop: computer
headphones: koptelefoon
camera: fotografie
robot: robot
alarm clock: wekker
wristwatch: horloge horloges
key: sleutel sleutels
gift: cadeau cadeaus cadeautje cadeaubon
balloon: ballon ballonnen
crown: kroon
candle: kaars kaarsen
book: boek boeken roman
bookshop: boekhandel bibliotheek
letter: brief brieven
guitar: gitaar gitaren concert
music: muziek liedje
toy: speelgoed knuffel
football: voetbal
shoe: schoen schoenen laarzen
shirt: overhemd t-shirt
dress: jurk jurken kleding
handbag: tas tassen handtas rugzak
sunglasses: zonnebril zonnebrillen
glasses: bril brillen
hat: hoed hoeden muts
necklace: ketting sieraden
umbrella: paraplu
lipstick: lippenstift
perfume: parfum
suitcase: koffer koffers
tent: tent tenten
diy: gereedschap klussen
house: huis huizen woning
castle: kasteel
sofa: meubels
soap: zeep
heart: hart harten
ghost: spook
rainbow: regenboog
stars: ster sterren
sun: zon zonnig zonnige
moon: maan
cloud: wolk wolken
rain: regen
snow: sneeuw
mountain: berg bergen
beach: strand zee
kitchen: keuken recept recepten
garden: tuin tuinen
city: stad
shop: winkel winkels
school: studie
travel: reis reizen vakantie
job: baan banen vacature vacatures
winter: winter
summer: zomer
spring: lente voorjaar pasen
weekend: zaterdag zondag
morning: ochtend ontbijt
evening: avond
sale: korting kortingen aanbieding aanbiedingen uitverkoop
free: gratis
win: winactie win
birthday: verjaardag verjaardagen
congratulations: gefeliciteerd
party: feest feestje
happy: blij vrolijk lekker lekkere heerlijk heerlijke
love: liefde
thank: bedankt dankjewel
sad: verdrietig helaas
""",
}


def _read_tables() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for language, lines in _TABLES.items():
        for line in lines.strip().splitlines():
            english, _, names = line.partition(":")
            for name in names.split():
                found.setdefault(language, {}).setdefault(stem(name), english)
    return found


OF_LANGUAGE = _read_tables()
_SMALL = frozenset(word for words in SMALL_WORDS.values() for word in words.split())


@dataclass(frozen=True)
class Words:
    """What words mean in English. own: by the stem of the word, from the team's own table, before all others."""

    own: Mapping[str, str] = field(default_factory=dict)

    def heard(self, post: Post) -> Post:
        """The post with every word that is known in English; the very same one where none is.

        The language of a short post is a guess, so a word that it does not know may be one of the others, unless the post is English.
        """
        if post.language == "en" and not self.own:
            return post
        known = {} if post.language == "en" else EVERY | OF_LANGUAGE.get(post.language, {})
        if post.language == "und":
            known = {name: english for name, english in known.items() if not is_known(name)}
        endings = _ENDINGS["de"] | _ENDINGS.get(post.language, frozenset())
        tags = tuple(self._english(tag, known, endings) for tag in post.hashtags)
        text = self._english(post.text, known, endings)
        return post if (text, tags) == (post.text, post.hashtags) else post.model_copy(update={"text": text, "hashtags": tags})

    def _english(self, text: str, known: Mapping[str, str], endings: Set[str]) -> str:
        return re.sub(r"[^\W\d_]+(?:-[^\W\d_]+)*", lambda match: self._one(match.group(), known, endings), text)

    def _one(self, word: str, known: Mapping[str, str], endings: Set[str]) -> str:
        name = stem(word)
        english = self.own.get(name) or known.get(name) or self._ending(word.lower(), known, endings)
        if english is None:
            return word
        # A noun of another language is no verb, so it needs no article to be a thing.
        return f"a {english}" if stem(english) in scenes.LOOSE_STEMS else english

    def _ending(self, word: str, known: Mapping[str, str], endings: Set[str]) -> str | None:
        ending = next((word[at:] for at in range(1, len(word)) if word[at:] in endings), None)
        return None if ending is None else known.get(stem(ending))


def read(path: Path) -> Words:
    """A team's own words in a CSV file with the columns word and english; none where there is no file.

    A line without English is passed over. Raises DataError that names the line whose English the rules do not know.
    """
    if not path.is_file():
        return Words()
    own: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.readline()
        file.seek(0)
        for number, row in enumerate(csv.reader(file, delimiter=max(",;\t", key=head.count)), start=1):
            cells = [cell.strip().removeprefix("'") for cell in row]
            if len(cells) < 2 or not cells[0] or not cells[1] or (number == 1 and cells[0].casefold() == "word"):
                continue
            if not is_known(cells[1]):
                raise DataError(
                    f"{path}, line {number}: the rules know nothing called {cells[1]!r}.\n"
                    "Write an everyday English noun or phrase, such as coffee, a cake, a smartphone or an angry face."
                )
            own[stem(cells[0])] = " ".join(words_of(cells[1]))
    return Words(own)


def is_known(english: str) -> bool:
    """Whether the rules look something up for an English word or phrase."""
    stems = [stem(word) for word in words_of(english)]
    pieces = {tuple(stems[at : at + length]) for at in range(len(stems)) for length in range(1, scenes.LONGEST + 1)}
    tables = (scenes.TOPIC_OF, scenes.PLACE_OF, scenes.TIME_OF, scenes.GOAL_OF, scenes.MOOD_OF)
    return any(piece in scenes.THINGS for piece in pieces) or any(one in table for one in stems for table in tables)


# Of those that came later only words that English has not: a German post on craft beer is not about bears, though Dutch ones are.
_LATER = ("it", "pt", "nl")
EVERY = {
    name: english
    for language, names in reversed(OF_LANGUAGE.items())
    for name, english in names.items()
    if language not in _LATER or not is_known(name)
}


def told(posts: Iterable[Post]) -> Counter[str]:
    """The words of posts, each counted once a post, without small ones."""
    found: Counter[str] = Counter()
    for post in posts:
        # As they are written, since German nouns are told by their capital.
        names = {name.casefold(): name for name in re.findall(r"[^\W\d_]{3,}(?:-[^\W\d_]+)*", f"{post.text} {' '.join(post.hashtags)}")}
        found.update(name for low, name in names.items() if low not in _SMALL)
    return found


def unknown(lost: Counter[str], understood: Counter[str]) -> Counter[str]:
    """The words that may be why posts are not understood: those that hardly stand in posts that are. Both as `told` counts them."""
    return Counter({word: count for word, count in lost.items() if count > OFTEN * understood[word]})


def unknown_csv(found: Counter[str]) -> str:
    """The commonest of these words as a table to fill in and save as `words.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["word", "english", "posts"])
    writer.writerows((word, "", count) for word, count in found.most_common(MAX_UNKNOWN))
    return text.getvalue()
