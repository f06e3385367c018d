"""Words of English that mean about the same: data alone. A line is one meaning; the simulated embedding models go by it."""

from __future__ import annotations

SYNONYMS = """
automobile car vehicle
truck lorry van
buy purchase acquire bought procure
sell sold vend
start begin launch commence kick
stop halt end cease finish quit
big large huge enormous vast
small little tiny compact
quick fast rapid speedy swift
slow sluggish laggy
fix repair mend solve resolve correct
break broke broken fail failure crash malfunction
error bug defect fault mistake
outage downtime incident disruption
delete remove erase drop purge discard
make create build produce construct made built
use employ utilise utilize apply
show display present reveal
hide conceal mask
choose pick select opt decide chose chosen
like prefer favour favor love
hate dislike detest loathe
boss manager lead supervisor chief head
worker employee staff colleague coworker
developer programmer engineer coder
team crew squad group
client customer buyer consumer
firm company business enterprise corporation
job task work duty assignment
meeting call appointment gathering
holiday vacation leave break
home house residence
city town municipality
doctor physician medic
medicine drug pharmaceutical
child kid youngster
money cash funds
cost price expense fee charge
pay payment settle remit
salary wage earnings
bill invoice
budget allowance
cheap inexpensive affordable
expensive costly dear pricey
database db datastore
server machine host box
memory ram
disk storage drive
network connection link
signal coverage reception
file document record
picture image photo logo
phone handset mobile smartphone
laptop notebook computer
screen display monitor
password passphrase credential secret
login signin authenticate authentication logon
permission access authorisation authorization right
test check verify validate examine
try attempt retry
repeat again
concurrent simultaneous parallel
lock mutex
queue backlog
delay postpone defer
latency lag
speed velocity throughput
limit cap bound ceiling
increase raise grow swell rise
decrease lower reduce shrink cut
change modify alter adjust
move migrate migration relocate relocation transfer shift
replace substitute swap supersede switch
keep retain preserve store hold
copy duplicate clone replica
backup restore recovery recover
release ship deploy publish deployment rollout
version build edition
old former ancient legacy previous
new fresh recent latest
friday saturday sunday weekend
night overnight nightly nocturnal
day daily
year annual annually yearly
month monthly
week weekly
hour hourly
allow permit enable
forbid prohibit ban disallow
must require need demand mandatory
help assist aid support
explain describe clarify
ask question request inquire query
answer reply respond response
send deliver dispatch transmit
receive get obtain
message text notification sms
mail email
find locate discover
search seek look
path route
planner scheduler router
measure gauge sensor probe
temperature heat
cold freezing frozen chilly
hot warm
glove mitten
box crate carton container parcel package
colour color hue shade
label tag caption
contrast legibility readable
faint pale dim
tall height high
wide width broad
physical physically onsite person
visit attend
building facility site premises datacentre datacenter
country nation
begin origin source
rule policy regulation guideline
agree accept approve consent
sign countersign signature
controller accountant treasurer
reject refuse decline deny
review inspect audit
pair two both couple
fake fictional dummy mock pretend synthetic
cupboard cabinet closet
resign resignation quit departure
document manual docs documentation
freeze stall hang
cache memoise memoize
forever endlessly unbounded infinite
teach train course training education
learn study
replacement stand-in deputy cover
summer july august
trial pilot experiment
paper form paperwork
eat food meal lunch
drink beverage
talk speak chat conversation
write compose author
read peruse
happy glad pleased
sad unhappy upset
safe secure security
danger risk hazard
law legal statute
""".strip()
"""Written from general knowledge of English in offices and software teams."""

FUNCTION_WORDS = frozenset(
    """
    a an and any are as at be been by can could did do does for from had has have how i if in into is it its me my no not of on or our
    should so some than that the their them then there these they this to us was we were what when where which while who whom whose why
    will with would you your
    """.split()  # noqa: SIM905 - a column of quoted words would be harder to read
)
