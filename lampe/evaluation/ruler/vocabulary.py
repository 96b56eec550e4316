"""Common English words, which keys and lists of words are made of.

RULER takes its words from the package wonderwords. Which words they are matters little, for they only have to differ;
these lists make the prompts the same wherever they are made, without one more dependency.
"""

from __future__ import annotations

_ADJECTIVES = """
able absent active actual adult aged agile alert alive amber ample ancient angry annual antique anxious apt arctic
ardent arid ashen astute atomic austere average awake aware awkward azure balanced bald bare basic bitter black
blank bleak blind blonde blue blunt bold boring bouncy brave breezy brief bright brisk brittle broad broken bronze
brown bulky bumpy busy calm candid careful careless caring casual cautious central certain charming cheap cheerful
chief chilly chubby civil classic clean clear clever close cloudy clumsy coarse coastal cold colorful comic common
compact complex concrete confident constant cool coral cosmic costly cozy crafty cranky crazy creamy creative
crimson crisp crooked crucial crude cruel crunchy cryptic curious curly current cute daily damp dapper daring dark
dazzling dead deaf dear decent deep definite delicate dense desperate different diligent dim direct dirty distant
dizzy double doubtful drab dramatic dreamy dry dull dusty dutiful eager early earnest eastern easy edible elated
elderly electric elegant elite eloquent eminent empty endless enormous envious equal eternal ethical even exact
exotic expert extra fabulous faded faint fair faithful false familiar famous fancy fast fatal faulty fearless feisty
female fertile festive fierce filthy final fine finite firm fiscal fixed flaky flashy flat flawless flexible flimsy
floral fluent fluffy fond foolish foreign formal fragile frail frank frantic free frequent fresh friendly frosty
frozen frugal full funny furry fussy fuzzy gentle genuine giant giddy gifted gigantic glad glamorous gleaming global
gloomy glorious glossy golden good gorgeous graceful grand grateful grave gray greasy great greedy green gritty
grumpy guilty gusty hairy handsome handy happy hard harmless harsh hasty hazy healthy hearty heavy helpful hidden
high hollow holy homely honest hopeful horrible hostile hot huge humble humid hungry hushed husky icy ideal idle
illegal immense impolite inborn infamous inner innocent intense internal ironic itchy ivory jagged jealous jolly
joyful juicy jumbo junior keen kind known lame large lasting late lavish lazy leafy lean legal lethal level light
likely limp linear liquid literate little lively local lonely long loose lost loud lovely loyal lucky lunar lush
luxurious magenta magic major male mammoth married massive mature meager mean measly medical meek mellow merry messy
mild minor minty misty mixed mobile modern modest moist moral muddy multiple muted mystic naive narrow nasty native
natural naughty nearby neat needy nervous neutral new nice nimble noble noisy normal northern novel numb nutty
obedient oblong obvious odd oily old olive open optimal orange orderly ordinary organic ornate outer oval overdue
painful pale parallel partial past patient peaceful perfect perky petite pink placid plain plastic playful pleasant
plump pointed polite poor popular portly potable powerful precious pretty previous pricey prickly primary prime
pristine private prize profuse prompt proper proud public puny pure purple puzzled quaint quick quiet quirky radiant
ragged rapid rare rash raw ready real rebel recent reckless red regal regular reliable remote rich rigid ripe robust
rosy rotten rough round rowdy royal rubbery rural rusty sacred sad safe salty sandy sane scarce scarlet scary
scented secret secure select serene serious severe shabby shady shaggy shallow sharp shiny short showy shrill shy
sick silent silky silly silver similar simple sincere single skinny sleepy slender slight slim slimy slippery slow
slushy small smart smoky smooth smug snappy sneaky snowy soft soggy solar sole solid somber sore sour southern spare
sparse special speedy spicy spiral splendid spotless square stable stale stark starry steady steep sticky stiff
stormy strange strict striped strong sturdy subtle sudden sugary sunny super superb supple sweet swift tall tame tan
tart tasty teal tedious tender tense tepid terse thick thin thirsty thorny tidy tight timely tiny tired torn tough
toxic tragic tricky trim tropical true trusty turquoise twin ugly ultimate unique upbeat upper urban urgent useful
usual vacant vague vain valid vapid vast velvety vibrant vicious violent violet virtual visible vital vivid wary
watery weak wealthy weary weekly weepy weird western wet white whole wicked wide wild willing windy winged wiry wise
witty wooden woolly worldly worn worthy wry yellow young zany zealous
"""

_NOUNS = """
acorn actor address airport album alley almond altar anchor angel ankle answer ant antler apple apricot apron arcade
archer arena arm armor army arrow artist ash atlas attic auction aunt author autumn avenue axe baby backpack badge
bag bagel baker balcony ball ballad ballet balloon bamboo banana band banjo bank banner barber bark barn barrel
basil basin basket bat bath battery beach beacon bead beak beam bean bear beard beast beaver bed bee beetle bell
belt bench berry bible bicycle bird biscuit bishop bison blanket blender blossom board boat body bolt bone bonnet
book boot border bottle boulder bow bowl box boy bracelet brain brake branch brass bread breeze brick bride bridge
broccoli brook broom brother brush bubble bucket buckle buffalo bugle builder bulb bull bunny bus butcher butler
butter button cabbage cabin cable cactus cake calendar calf camel camera camp canal candle candy cannon canoe canvas
canyon cape captain car caravan card cargo carpet carriage carrot cart castle cat cathedral cattle cave cedar
ceiling celery cellar cello cement cereal chain chair chalk chamber channel chapel chapter chariot cheese cheetah
chef cherry chess chest chicken child chimney chin chocolate choir church cider cigar cinema circle circus citizen
city clarinet clay cliff clinic cloak clock cloth cloud clover clown club coach coal coast coat cobra cocoa coconut
coffee coffin coin collar college colony comb comet compass computer cook cookie copper cord cork corn corner
costume cottage cotton couch council country courage cousin cow crab cradle crane crater crayon cream creek crew
cricket crocodile crow crowd crown crystal cube cucumber cup cupboard curtain cushion cyclone dad dagger daisy dance
dancer date daughter dawn deer delta dentist desert desk dessert diamond diary dictionary dinner dinosaur dish
doctor dog doll dollar dolphin donkey door dragon drawer dream dress drill drink driver drum duck dungeon dust eagle
ear earth easel echo eel egg elbow elephant elevator elk elm ember emerald emperor empire engine engineer envelope
eraser estate evening event eye fabric face factory fairy falcon family fan farm farmer father faucet feast feather
fence fern ferry festival fiddle field fig film finger fire fish flag flame flamingo flask flea fleet flood floor
flour flower flute fog folder food foot forest fork fort fortress fossil fountain fox frame friend frog fruit fudge
funnel furnace galaxy gallery game garage garden garlic garment gate gazelle gear gem general geyser ghost gift
ginger giraffe girl glacier glass glove glue goat goblet gold golf gondola goose gorilla grain granite grape grass
gravel gravy grid grocer group guard guest guide guitar gull gym habit hail hair hall hallway ham hammer hamster
hand handle harbor harp hat hatchet hawk hay hazel head heart hedge heel helmet hen herb hermit hero heron herring
highway hill hinge hippo hive hockey holiday honey hood hoof hook horn hornet horse hospital hotel hound hour house
hunter hut iceberg igloo inch ink inn insect iris iron island ivy jacket jaguar jail jam jar jasmine jaw jazz jeans
jelly jet jewel jockey journal judge jug juice jungle jury kangaroo kayak kernel kettle key kid kidney king kingdom
kitchen kite kitten knee knife knight knot koala label lace ladder lady lagoon lake lamb lamp land lane language
lantern lap laptop lark latch lava lavender law lawn lawyer leader leaf leather lecture leg legend lemon lemur lens
leopard lesson letter lettuce library lid lighthouse lily lime limousine lion lip lizard llama lobster lock lodge
log lotus lounge lung lute lynx lyric machine magazine magnet maid mail mammal mango manor mansion mantle map maple
marble margin marina market marsh mask mast mat match meadow meal meat medal melody melon member menu merchant
mermaid metal meteor microscope midnight milk mill miner minute mirror mitten moat model mole moment monarch money
monk monkey monsoon month monument moon moose morning mosaic moss moth mother motor mountain mouse mouth mud muffin
mule muscle museum mushroom music mustard nail napkin nation navy neck necklace needle nephew nest net newspaper
niece night noodle nose note notebook novelist nurse nut oak oar oasis oat oboe ocean octopus office officer oil
omelet onion opera orbit orchard orchestra orchid ore organ ostrich otter oven owl owner ox oyster package paddle
page pail paint painter pair palace palm pan pancake panda panther paper parachute parade parcel parent park parrot
parsley party passage pasta pastry path patrol pattern pavement paw pea peach peacock peak peanut pear pearl pebble
pecan pedal pelican pen pencil penguin penny people pepper perfume person petal phone photo piano pickle picnic
picture pie pier pig pigeon pillar pillow pilot pine pineapple pipe pirate pistol pit pizza planet plant plate
platform player plaza plow plum pocket poem poet pole police pond pony pool poppy porch port portrait post pot
potato pottery powder prairie present prince princess printer prison problem professor project puddle pumpkin pupil
puppet puppy purse puzzle pyramid python quail quarry quartz queen quill quilt quiver rabbit raccoon race radar
radio radish raft rail railway rain rainbow raisin ram ranch raspberry rat raven ray razor recipe reef referee
reindeer relic reptile rescue resort restaurant ribbon rice rider rifle ring river road robe robin robot rock rocket
roof room rooster root rope rose rudder rug ruler runner saddle sailor salad salmon salt sand sandal sandwich
sapphire sauce saucer sausage saxophone scale scarf scene school science scissors scooter scorpion scout screen
screw sea seal season seat secretary seed senator servant shadow shark shed sheep shelf shell shelter sheriff shield
ship shirt shoe shop shore shoulder shovel shower shrimp sibling sidewalk siren sister skate skeleton sketch skirt
skull sky sled sleeve slipper slope snail snake soap soccer sock sofa soil soldier son song soup spade spaghetti
sparrow spear spider spinach spoon spring spruce squash squid squirrel stadium stage stair stamp star statue steak
steam steel stem stereo stomach stone stool store stork storm story stove stranger straw stream street string
student studio subway suit summer summit sun sunset surgeon swamp swan sweater sword symbol syrup table tablet tail
tailor tank tape target tavern taxi tea teacher team telescope temple tennis tent terrace theater thief thigh
thimble throat throne thumb thunder ticket tide tiger tile timber toad toast toe toilet tomato tongue tool tooth
torch tornado tortoise towel tower town toy tractor trail train trap traveler tray treasure treaty tree tribe
trombone trophy trout truck trumpet trunk tuba tulip tunnel turkey turnip turtle tutor typhoon umbrella uncle
uniform universe valley van vase vault veil vein verse vest veteran victory village vine vineyard violin visitor
voice volcano vulture waffle wagon waist waiter wall wallet walnut walrus warrior wasp watch water wave wax weapon
weasel weather wedding weed well whale wheat wheel whip whisker whistle widow wife willow window wine wing winter
wizard wolf woman wood wool worker world worm wreath wren wrench wrist writer yacht yard year yoga yogurt zebra
zipper zone
"""

ADJECTIVES = tuple(_ADJECTIVES.split())
NOUNS = tuple(_NOUNS.split())
WORDS = tuple(sorted({*ADJECTIVES, *NOUNS}))
